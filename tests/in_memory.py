"""Images in memory with the interface of ``store.StoredArray``."""

import numpy as np

from workflow.convergent.nets.crops import Split


class InMemory:
    """An array whose rows are read by their indices."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape = np.ascontiguousarray(array), array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.array[index]

    def addresses(self, index: np.ndarray) -> np.ndarray:
        return self.array.ctypes.data + self.array.strides[0] * index


def split_of(images: np.ndarray, labels: np.ndarray) -> Split:
    """Images and labels to train on."""
    return Split(InMemory(images), labels)  # type: ignore[arg-type]
