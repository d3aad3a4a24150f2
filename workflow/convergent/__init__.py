"""Convergent learning: one module per stage, each importable and each runnable by hand (``python -m``)."""

import os

# OpenBLAS's idle threads spin for 30 ms after each product by default, which takes their core from torch's threads:
# the moments pass takes half the time without. Read by numpy when it loads, therefore here.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")

# Large tensors in huge pages, as numpy does by itself: first touches of memory cost a tenth. Read by torch.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
