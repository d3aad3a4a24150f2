"""Find by trial which net weights are of: what its function is called with, and under which names they fit.

Nothing is concluded from the order of weights: a net is built, and torch loads the weights into it as it does for their
author, with all that it migrates of older files.
"""

import inspect
import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..commands import InputError, in_words
from . import building
from .architecture import ALEXNET
from .naming import variants, with_versions
from .published import TORCHVISION
from .weights import StateDict

IMAGENET = 1000  # classes that torchvision's functions have by default
COUNTER = "num_batches_tracked"  # of batch normalisation; torch fills it in for files that are older than it
Arguments = dict[str, Any]
Shapes = dict[str, tuple[int, ...] | None]


@dataclass(frozen=True)
class Fitted:
    """Weights under the names of the net that they fit.

    left: names in the file of those that are not of the net; classes, arguments: what the net is built with, if it is
    the preset, and otherwise
    """

    state: StateDict
    left: list[str]
    classes: int
    arguments: Arguments


@dataclass(frozen=True)
class Refusal:
    """Why weights do not fit: how many of them are wrong, the first of these, and the weights as they were tried."""

    wrong: int
    said: str
    state: StateDict


def shapes(tensors: Mapping[str, torch.Tensor]) -> Shapes:
    """Shape of each tensor; None of one that takes the shape of its input."""
    return {name: None if nn.parameter.is_lazy(each) else tuple(each.shape) for name, each in tensors.items()}


def load(module: nn.Module, state: StateDict) -> None:
    """Load weights as torch does, which migrates those of older versions of their modules. Raises what torch raises."""
    tensors: OrderedDict[str, torch.Tensor] = OrderedDict(state.tensors)
    if state.versions is not None:
        tensors._metadata = state.versions  # type: ignore[attr-defined]
    with warnings.catch_warnings():  # that a net without values keeps none
        warnings.simplefilter("ignore")
        module.load_state_dict(tensors)


def differing(needed: Shapes, given: Shapes) -> list[str]:
    """Names of weights that are missing, too many or of another shape."""
    missing = [name for name in needed if name not in given and not name.endswith(COUNTER)]
    other = [name for name in needed if name in given and needed[name] is not None and needed[name] != given[name]]
    found = {*missing, *other, *(name for name in given if name not in needed)}
    return [name for name in dict.fromkeys([*needed, *given]) if name in found]


def refusal(module: nn.Module, state: StateDict) -> Refusal | None:
    """Why a module does not take weights; None where it does."""
    needed = shapes(module.state_dict())
    try:
        load(module, state)
    except Exception as error:  # modules may load in a way of their own, which may raise anything
        given = shapes(state.tensors)
        if not (names := differing(needed, given)):
            return Refusal(0, in_words(error), state)
        has, needs = (each.get(names[0], "nothing") for each in (given, needed))
        return Refusal(len(names), f"{names[0]} is {has}, it must be {needs}", state)
    return None


def lengths(states: Iterable[StateDict]) -> list[int]:
    """Numbers of classes that weights may be of: rows of the last matrix, ImageNet's, and rows of all others."""
    tensors = [tensor for state in states for tensor in reversed(state.tensors.values()) if tensor.numel()]
    rows = [len(tensor) for tensor in tensors if tensor.dim() > 1]
    return list(dict.fromkeys([*rows[:1], IMAGENET, *rows, *(len(tensor) for tensor in tensors if tensor.dim())]))


def solved(one: tuple[int, Shapes], two: tuple[int, Shapes], given: Shapes) -> list[int]:
    """Numbers of classes at which sizes are those of a file, from sizes of a net that was built for two numbers.

    A size may be any multiple of the number, and more by any constant.
    """
    found: dict[int, None] = {}
    for name, at_one in one[1].items():
        at_two, wanted = two[1].get(name), given.get(name)
        if at_one and at_two and wanted and len(at_one) == len(at_two) == len(wanted):
            for a, b, size in zip(at_one, at_two, wanted, strict=True):
                whole, rest = divmod((size - a) * (two[0] - one[0]), b - a) if a != b else (0, 1)
                if not rest and one[0] + whole > 0:
                    found[one[0] + whole] = None
    return list(found)


def parameters(architecture: str) -> set[str]:
    """What the function of an architecture can be called with; of torchvision's also what their classes take."""
    make = building.builder(architecture)
    try:
        signature = inspect.signature(make)
    except ValueError:  # a compiled function need not say what it takes
        return set()
    kind = signature.return_annotation
    known = isinstance(kind, type) and architecture.startswith(TORCHVISION)
    return {*signature.parameters, *(inspect.signature(kind).parameters if known else [])}


def switches(architecture: str, settings: Mapping[str, Any]) -> list[Arguments]:
    """Arguments to be tried beside the number of classes.

    Of torchvision's nets those which torchvision sets where it loads weights, and which a file does not hold.
    """
    if architecture == ALEXNET:
        return [{}]
    taken, fixed = parameters(architecture), {}
    if architecture.startswith(TORCHVISION):
        own = {"transform_input": True, "init_weights": False, "image_size": settings["crop"]}
        fixed = {name: value for name, value in own.items() if name in taken}
    return [fixed | {"aux_logits": on} for on in (True, False)] if "aux_logits" in taken else [fixed]


def left_out(state: StateDict, part: StateDict) -> list[str]:
    """Names of the weights that are not in a part."""
    kept = set(map(id, part.tensors.values()))
    return [name for name, tensor in state.tensors.items() if id(tensor) not in kept]


def fits(module: nn.Module, state: StateDict, heads: Collection[str]) -> tuple[list[StateDict], list[Refusal]]:
    """Weights by the names under which a net takes them, and why others do not fit.

    All of them, where they fit, but for ``heads``, which other nets of the architecture have; else each part that fits.
    """
    own: Any = module.state_dict()
    unused = tuple(set(heads).difference(own))
    parts: dict[frozenset[int], StateDict] = {}
    refusals = []
    for tried in variants(state, list(own), unused):
        for each in with_versions(tried, own._metadata):
            if why := refusal(module, each):
                refusals.append(why)
                continue
            left = left_out(state, each)
            if all(name.endswith(unused) for name in left):
                return [each], []
            if set(left).intersection(own):  # the net's own names stand there besides: which are meant is not known
                extra = next(name for name in state.tensors if name not in own)
                shape = tuple(state.tensors[extra].shape)
                refusals.append(Refusal(0, f"{extra} is {shape}, it must be nothing", each))
            else:
                parts.setdefault(frozenset(map(id, each.tensors.values())), each)
            break
    return list(parts.values()), refusals


@dataclass
class Trial:
    """Weights of a file that are tried in nets of an architecture, which are built for it.

    states: all that the file holds; refusals: why what was tried does not fit
    """

    file: str
    architecture: str
    settings: dict[str, Any]
    channels: int
    seed: int
    states: Sequence[StateDict]
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[InputError] = field(default_factory=list)  # of nets that could not be built
    heads: set[str] = field(default_factory=set)  # names of weights in nets that were built

    @property
    def best(self) -> Refusal:
        """The refusal that came closest."""
        return min(self.refusals, key=lambda why: why.wrong)

    def arguments(self, more: Arguments, classes: int) -> Arguments:
        """What the architecture's function is called with; nothing for the preset, which has none."""
        if self.architecture == ALEXNET:
            return {}
        return building.arguments_for(building.builder(self.architecture), self.architecture, classes) | more

    def body(self, more: Arguments, classes: int) -> nn.Module:
        """A net without values where torchvision can build one, which takes no time; else one with initial weights."""
        settings = self.settings | {"arguments": self.arguments(more, classes)}
        everything = (self.architecture, settings, self.channels, classes, self.seed)
        if self.architecture.startswith(TORCHVISION):
            try:
                with torch.device("meta"):
                    return building.initial_body(*everything)
            except InputError:  # some compute with values
                pass
        return building.initial_body(*everything)

    def part_for(self, module: nn.Module) -> tuple[StateDict, StateDict] | None:
        """The weights that fit a net, with those of the file that they are of. Raises InputError where several do.

        What stands where checkpoints keep the weights of the net itself goes before all else.
        """
        found: list[tuple[StateDict, StateDict]] = []
        for state in self.states:
            parts, refusals = fits(module, state, self.heads)
            self.refusals += refusals
            these = [(part, state) for part in parts]
            if these and state.usual:
                found = these
                break
            found += these
        if len(found) > 1:
            places = ", ".join(part.place for part, _ in found)
            raise InputError(f"weights: {self.file}: {places} fit {self.architecture}; save one of them alone")
        return found[0] if found else None

    def nets(self, more: Arguments) -> Iterator[tuple[int, nn.Module]]:
        """Nets for numbers of classes, until two could be built; then for those at which sizes are the file's."""
        built: list[tuple[int, Shapes]] = []
        for classes in lengths(self.states):
            try:
                module = self.body(more, classes)
            except InputError as error:
                self.failures.append(error)
                continue
            built.append((classes, shapes(module.state_dict())))
            yield classes, module
            if len(built) == 2:
                break
        if len(built) == 2:
            for classes in solved(built[0], built[1], shapes(self.best.state.tensors)):
                yield classes, self.body(more, classes)


def fit(
    file: str, architecture: str, settings: dict[str, Any], channels: int, seed: int, states: Sequence[StateDict]
) -> Fitted:
    """The net that weights of a file are of.

    Raises InputError where its function raises, no weights of the file fit it, or several do.
    """
    trial = Trial(file, architecture, settings, channels, seed, states)
    for more in switches(architecture, settings):
        for classes, module in trial.nets(more):
            if part := trial.part_for(module):
                return Fitted(part[0], left_out(part[1], part[0]), classes, trial.arguments(more, classes))
            trial.heads |= set(module.state_dict())
    if not trial.refusals:
        raise trial.failures[0]
    raise InputError(f"weights: {file} do not fit {architecture}: {trial.best.said}")
