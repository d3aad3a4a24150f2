"""Convergent learning: one module per stage, each importable and each runnable by hand (``python -m``)."""

import os

# Idle threads of numpy's OpenBLAS spin for 30 ms after each product by default, and torch's for some; each takes the
# core from the other's: the moments pass takes half the time without. Read when the libraries load, therefore here.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Large tensors in huge pages, as numpy does by itself: first touches of memory cost a tenth. Read by torch.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
