"""Bytes of a run's large results, from its configuration alone: images, moments, mappings, and pictures of units.
The work of a training, likewise.

Units of nets other than the preset are not known before these are built; the estimate leaves them out.
"""

from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from workflow.convergent.configuration import module_of, snapshot_blocks, trained, twinned, units, widths
from workflow.convergent.nets.architecture import ALEXNET, module_positions, multiply_adds
from workflow.convergent.nets.names import net_names
from workflow.convergent.photographs import channels, classes, total

NUMBER, MEAN = 8, 4  # bytes of a float64, and of the mean at a position
MULTIPLICATIONS, STEPS = 1.473e12, 3000  # of the crops, and of one training, of the embedded experiment
TOP, THUMBNAIL = 9, 64  # pictures of a unit; width of those of a unit without positions (patches.pictures)


def positions(config: dict[str, Any], layer: str) -> int:
    """Number of positions of a layer in the nets that are the preset; 0 where none is."""
    modules = {module_of(entry, layer) for entry in config["nets"] if entry["architecture"] == ALEXNET}
    known = module_positions(config["architecture"]) if modules else {}
    return min((known[module] for module in modules if module in known), default=0)


def moments(config: dict[str, Any], section: str, of_layers: dict[str, list[int]], most: int | None = None) -> int:
    """Bytes of one pass: co-moments of all pairs of nets and means of positions, by blocks, in shards and merged.

    of_layers: layer -> units of each net that takes part; most: blocks that a layer keeps, None for all
    """
    wide, blocks, shards = config["moments"]["wide"], config[section]["blocks"], config[section]["shards"]
    total = 0
    for layer, of_nets in of_layers.items():
        kept = min(blocks, wide["blocks"] if sum(of_nets) >= wide["units"] else most or blocks)
        pairs = sum(a * b for a, b in combinations_with_replacement(of_nets, 2))
        row = pairs * NUMBER + positions(config, layer) * sum(of_nets) * MEAN
        total += row * (max(kept, shards) + kept + 1)  # merged with their sum
    return total


def all_moments(config: dict[str, Any], classes: int) -> int:
    """Bytes of all passes: over the validation images, over training images, of nets before and in training."""
    nets, compared, mapped = trained(config), config["layers"], config["stitching"]["layers"]
    twins = {layer: [units(config, net, layer, classes) for net in nets] for layer in twinned(config, classes)}
    validation = moments(config, "moments", {layer: widths(config, layer, classes) for layer in compared})
    training = moments(config, "stitching", {layer: widths(config, layer, classes) for layer in mapped})
    snapshots = len(config.get("training", {}).get("snapshots", []))
    through = snapshots * moments(config, "moments", twins, snapshot_blocks(config)) if snapshots else 0
    return validation + training + moments(config, "moments", twins) + through


def mappings(config: dict[str, Any], classes: int) -> int:
    """Bytes of all mappings: of each ordered pair of nets, of nets to themselves, and from untrained twins.

    The last have two penalties but where figures show the pair, the others those of the whole path.
    """
    nets, twins, its = len(config["nets"]), len(trained(config)), config["stitching"]
    path = len(its["decays"]) + len(its["alphas"]) + 1
    sources, targets = zip(*(pair.split("-") for pair in config["figures"]["pairs"]), strict=True)
    names = net_names(config["nets"])
    whole = sum(names.index(source) in trained(config) for source in sources)
    points = (nets * (nets - 1) + len(set(targets)) + whole) * path + (twins * (nets - 1) - whole) * 2
    squares = sum(units(config, 0, layer, classes) ** 2 for layer in its["layers"])
    return points * squares * NUMBER


def receptive_fields(architecture: dict[str, Any]) -> dict[str, int]:
    """Width in pixels of what a unit of each convolution sees, at most the crop."""
    width, step, fields = 1, 1, {}
    for number, conv in enumerate(architecture["conv"], 1):
        width += (conv["kernel"] - 1) * step
        step *= conv.get("stride", 1)
        fields[f"conv{number}"] = min(width, architecture["crop"])
        kernel, stride = conv.get("pool", (1, 1))
        width, step = width + (kernel - 1) * step, step * stride
    return fields


def pictures(config: dict[str, Any], classes: int) -> int:
    """Bytes of the pictures of all units, a patch and its deconvolution or a thumbnail; 0 where the stage is off."""
    if "patches" not in config["stages"]:
        return 0
    fields = receptive_fields(config["architecture"]) if "conv" in config["architecture"] else {}
    thumbnail = min(THUMBNAIL, config["architecture"]["crop"]) ** 2
    total = 0
    for net, entry in enumerate(config["nets"]):
        for layer in config["layers"]:
            module = module_of(entry, layer)
            pixels = 2 * fields[module] ** 2 if module in fields else thumbnail
            total += units(config, net, layer, classes) * TOP * pixels * channels(config["data"])
    return total


def estimate(config: dict[str, Any]) -> dict[str, int]:
    """Bytes by folder of a run. The configuration is complete."""
    data = config["data"]
    count = classes(data)
    return {
        "images": total(data) * data["size"] ** 2 * channels(data),
        "moments": all_moments(config, count),
        "stitching": mappings(config, count),
        "patches": pictures(config, count),
    }


def training(config: dict[str, Any], driver: Path = Path("/dev/nvidiactl")) -> float:
    """Work of one training, as a multiple of the embedded experiment's: its multiplications, on a GPU its steps.

    A GPU does the embedded steps in the time that it takes to ask for them. Nets of the user's own count as the preset.
    """
    if (its := config.get("training")) is None:
        return 1.0
    if driver.exists() or "conv" not in config["architecture"]:
        return its["steps"] / STEPS
    of_crop = multiply_adds(config["architecture"], channels(config["data"]), classes(config["data"]))
    return of_crop * its["batch"] * its["steps"] / MULTIPLICATIONS
