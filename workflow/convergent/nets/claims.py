"""Claims of GPUs: jobs on a machine with several spread over them, as Snakemake assigns none. It loads no torch."""

import errno
import os
import socket
from collections.abc import Sequence


def instances(visible: str) -> list[str]:
    """The parts of GPUs (MIG) that CUDA_VISIBLE_DEVICES names; none where it names whole GPUs.

    >>> instances("MIG-41b3, MIG-c6d4"), instances("0,1")
    (['MIG-41b3', 'MIG-c6d4'], [])
    """
    return [name for name in map(str.strip, visible.split(",")) if name.startswith("MIG-")]


def claim_gpu(names: Sequence[str]) -> int:
    """Index of the first GPU that no other process of this machine has claimed; where all are claimed they are shared.

    A claim is an address of Linux that is no file: any user can take it, only one process has it, and it ends with the
    process. names: what is unique to each GPU, whatever the process may use of them
    """
    for number, name in enumerate(names):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0convergent-learning {name}")
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        claim.detach()  # stays open until the process ends
        return number
    return os.getpid() % len(names)
