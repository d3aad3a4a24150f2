"""What follows from an architecture alone, without torch."""

from typing import Any


def conv_sizes(architecture: dict[str, Any]) -> list[tuple[int, int]]:
    """Width of each convolution's output and of what its pooling leaves of it; one line where nothing is left."""
    width, sizes = architecture["crop"], []
    for i, conv in enumerate(architecture["conv"], 1):
        made = (width + 2 * conv.get("padding", 0) - conv["kernel"]) // conv.get("stride", 1) + 1
        kernel, stride = conv.get("pool", (1, 1))
        left = (made - kernel) // stride + 1
        if made < 1 or left < 1:
            raise SystemExit(
                f"architecture.conv: nothing is left of a crop of {architecture['crop']} pixels after conv{i}; "
                "allow larger crops or smaller kernels, strides and pooling"
            )
        sizes.append((made, left))
        width = left
    return sizes
