"""What a configuration needs of memory at the least: what does not fit is refused before any work."""

import os
import shutil
from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

from .configuration import module_of
from .images.listing import SPLITS
from .nets.architecture import ALEXNET, conv_sizes
from .photographs import Images, batch_of, channels
from .schema import refuse

FLOAT, DOUBLE = 4, 8  # bytes
CLUSTER = 2**40  # bytes of a machine that jobs are sent to
COPIES = 3  # of the weights in training: themselves, gradients, momentum


class Need(NamedTuple):
    """Memory that one process takes for one thing."""

    key: str  # of the configuration
    value: Any  # of that key
    what: str
    size: int  # bytes


def available() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def of_a_cluster() -> int:
    """Bytes of memory that the largest machine may have that jobs are sent to; of this one where there is no SLURM."""
    there = bool(shutil.which("sbatch")) or "SLURM_JOB_ID" in os.environ
    return max(available(), CLUSTER if there else 0)


def in_units(size: int) -> str:
    """Bytes as people say them.

    >>> in_units(2_500_000_000)
    '2.5 GB'
    """
    unit = min(4, max(0, (len(str(size)) - 1) // 3))
    return f"{size / 1000**unit:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[unit]}"


def held(config: dict[str, Any], section: str, count: int) -> int:
    """Images of the largest batch of a pass over so many images; no batch goes beyond a block."""
    return min(batch_of(config, section), -(-count // config[section].get("blocks", 1)))


def of_images(config: dict[str, Any], images: Mapping[str, Images]) -> Iterator[Need]:
    """Crops of photographs, which are held all together, and batches of crops."""
    size, crop, depth = config["data"]["size"], config["architecture"]["crop"], channels(config["data"])
    if config["data"]["source"] == "scenes":
        count = sum(images[split].number for split in SPLITS)
        yield Need("data.size", size, f"{count} stored images", count * size**2 * depth)
    for section, split in (("training", "train"), ("moments", "val"), ("information", "val"), ("patches", "val")):
        if section in config:
            batch = held(config, section, images[split].number)
            yield Need(f"{section}.batch", batch, "pixels of a batch", batch * crop**2 * depth * FLOAT)


def of_weights(config: dict[str, Any], units: Mapping[str, int]) -> Iterator[Need]:
    """Weights of the preset, in training if one is trained."""
    section = config["architecture"]
    trained = any("weights" not in entry for entry in config["nets"] if entry["architecture"] == ALEXNET)
    size = FLOAT * (COPIES if trained else 1)
    inputs = channels(config["data"])
    for number, conv in enumerate(section["conv"]):
        count = inputs * conv["units"] * conv["kernel"] ** 2
        yield Need(f"architecture.conv.{number}", conv, "its weights in training", count * size)
        inputs = conv["units"]
    inputs = units["flatten"]
    for number, entry in enumerate(section["fc"]):
        count = inputs * entry["units"]
        yield Need(f"architecture.fc.{number}", entry, "its weights in training", count * size)
        inputs = entry["units"]


def of_activations(config: dict[str, Any], images: Mapping[str, Images]) -> Iterator[Need]:
    """Outputs of each convolution of the preset, for a batch of the moments."""
    batch = held(config, "moments", images["val"].number)
    section = config["architecture"]
    for number, (conv, (width, _)) in enumerate(zip(section["conv"], conv_sizes(section), strict=True)):
        what = f"its outputs for a batch of {batch}"
        yield Need(f"architecture.conv.{number}", conv, what, batch * conv["units"] * width**2 * FLOAT)


def of_moments(config: dict[str, Any], units: Mapping[str, int]) -> Iterator[Need]:
    """Co-moments of one block of each layer: of all pairs of nets that are the preset, with twins in mapped layers."""
    entries = [entry for entry in config["nets"] if entry["architecture"] == ALEXNET]
    twins = [entry for entry in entries if "weights" not in entry]
    for layer in config["layers"]:
        taking_part = entries + (twins if layer in config["stitching"]["layers"] else [])
        widths = [units.get(module_of(entry, layer), 0) for entry in taking_part]
        pairs = sum(a * b for a, b in combinations_with_replacement(widths, 2))
        yield Need("layers", layer, f"co-moments of {widths[0]} units of {len(widths)} nets", pairs * DOUBLE)


def check(config: dict[str, Any], images: Mapping[str, Images], units: Mapping[str, int], room: int) -> None:
    """Raise InputError for the first entry by which a stage needs more than ``room`` bytes.

    units: of each module of the preset; empty where no net is one
    """
    needs = [*of_images(config, images)]
    if units:
        needs += [*of_weights(config, units), *of_activations(config, images), *of_moments(config, units)]
    for need in needs:
        if need.size > room:
            refuse(need.key, need.value, f"{need.what} take {in_units(need.size)}, there are {in_units(room)}")
