"""Names that weights may have in a net: a file puts more before them, or within, than the net itself does."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .weights import StateDict

# Modules that torch puts around a net, or around parts of it, for parallel, compiled or frugal training.
WRAPPERS = {"module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"}


def prefixes(names: Collection[str], needed: Collection[str]) -> list[str]:
    """What may stand before the names of a net, each with its dot: nothing, what all share, what stands before most.

    >>> prefixes(["net.0.weight", "net.0.bias", "loss.weight"], ["0.weight", "0.bias"])
    ['', 'net.']
    """
    wanted, before = set(needed), Counter[str]()
    for name in names:
        parts = name.split(".")
        cuts = [".".join([*parts[:cut], ""]) for cut in range(len(parts))]
        before.update(cut for cut in cuts if name[len(cut) :] in wanted)
    one = next(iter(names)).split(".")
    shared = [".".join([*one[:cut], ""]) for cut in range(1, len(one))]
    common = [prefix for prefix in shared if all(name.startswith(prefix) for name in names)]
    most = [prefix for prefix, count in before.items() if 2 * count > len(wanted)]
    return list(dict.fromkeys(["", *common, *most]))


def renamed(state: StateDict, change: Callable[[str], str]) -> StateDict | None:
    """Weights under other names, and so the versions of their modules; None where two would have one name."""
    tensors = {change(name): tensor for name, tensor in state.tensors.items()}
    versions = state.versions
    if versions is not None:  # names of modules, of which an empty one is the net
        versions = {change(f"{path}.").strip("."): version for path, version in versions.items()}
    return replace(state, tensors=tensors, versions=versions) if len(tensors) == len(state.tensors) else None


def key(name: str) -> str:
    """What of a name stays where torch's modules around others, and dots, are left out.

    >>> key("layer1._orig_mod.0.weight"), key("norm.1.weight")
    ('layer10weight', 'norm1weight')
    """
    return "".join(part for part in name.split(".") if part not in WRAPPERS)


def respelt(state: StateDict, needed: Collection[str]) -> StateDict | None:
    """Weights with a net's names where these differ in dots, as of torchvision's oldest files, or in ``WRAPPERS``."""
    names = {key(name): name for name in needed}
    return renamed(state, lambda name: names.get(key(name), name))


def inside(state: StateDict, prefix: str) -> StateDict | None:
    """The weights whose names begin so, without that beginning."""
    tensors = {name: tensor for name, tensor in state.tensors.items() if name.startswith(prefix)}
    place = ".".join(filter(None, [state.place, prefix[:-1]]))
    versions = state.versions
    if versions is not None:
        versions = {path: each for path, each in versions.items() if f"{path}.".startswith(prefix)}
    part = replace(state, place=place, tensors=tensors, versions=versions)
    return renamed(part, lambda name: name.removeprefix(prefix))


def variants(state: StateDict, needed: Collection[str], unused: Collection[str]) -> Iterator[StateDict]:
    """Weights by all names that they may have in a net, the likeliest first; some of them may be left out.

    needed: names of the net; unused: names that a net has in training alone
    """
    for prefix in prefixes(state.tensors, needed):
        part = inside(state, prefix)
        for spelt in filter(None, (part, part and respelt(part, needed))):
            yield spelt
            if unused:
                yield replace(spelt, tensors={name: each for name, each in spelt.tensors.items() if name not in unused})


def with_versions(state: StateDict, own: Mapping[str, Any]) -> list[StateDict]:
    """Weights of the versions that their file says, of the net's own, and of none, which is older than all."""
    return [replace(state, versions=versions) for versions in (state.versions, own, None)]
