"""Deconvolution of units at given images and positions, beside captum's, unit by unit.

captum takes the gradient through every module with rectified signals. A normalisation of responses this project
divides by its denominator instead, so that it is left out of the nets here.
"""

import copy
import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from tests.presets import preset
from workflow.convergent.nets.activations import probe
from workflow.convergent.nets.model import Net
from workflow.convergent.patches.deconvolution import Rectifying, deconvolve

from ..common import LAYERS, Photographs, section
from .contest import Contest, Run, Way

TOP, BATCH = 9, 120  # images of a unit, and pictures at a time in this project's pass
CONVOLUTIONS = LAYERS[:5]


class Case(NamedTuple):
    """A net, and what is projected back in it: so many units of each layer from TOP images each."""

    experiment: str
    size: int
    units: int | None  # None for all


class Given(NamedTuple):
    """What all ways get. places: layer -> unit, image, row, column (units x TOP,) each, unit by unit"""

    net: Net
    crops: torch.Tensor
    places: dict[str, list[torch.Tensor]]


def given(case: Case) -> Given:
    """A net before training, and places drawn at random: how long it takes does not depend on them."""
    architecture = copy.deepcopy(section(case.experiment, "architecture")) | {"fc": []}
    for conv in architecture["conv"]:
        conv["lrn"] = False
    images, rng = Photographs(case.size), np.random.default_rng(0)
    net = preset(architecture, 3, 10, case.size, seed=0)
    net.standardise_with(images.pool)
    places = {}
    for layer, shape in probe(net, CONVOLUTIONS).items():
        units = np.repeat(np.arange(shape.units)[: case.units], TOP)
        drawn = [rng.integers(end, size=len(units)) for end in (len(images.pool), *shape.grid)]
        places[layer] = [torch.from_numpy(each) for each in (units, *drawn)]
    return Given(net, net.centre_crop(torch.from_numpy(images.pool)), places)


def ours(of: Given, project: Callable[..., torch.Tensor] = deconvolve) -> dict[str, torch.Tensor]:
    """Units of a layer together, BATCH pictures at a time."""
    found = {}
    for layer, places in of.places.items():
        parts = zip(*(each.split(BATCH) for each in places), strict=True)
        found[layer] = torch.cat([project(of.net, layer, of.crops[image], unit, *at) for unit, image, *at in parts])
    return found


def captum(of: Given, models: dict[str, Callable]) -> dict[str, torch.Tensor]:
    """The images of one unit at a time. models: layer -> the function that attributes"""
    found = {}
    for layer, places in of.places.items():
        parts = zip(*(each.split(TOP) for each in places), strict=True)
        found[layer] = torch.cat(
            [
                models[layer](of.crops[image], list(zip(*map(torch.Tensor.tolist, (unit, *at)), strict=True)))
                for unit, image, *at in parts
            ]
        )
    return found


def truncated(net: Net, layer: str) -> nn.Sequential:
    """A copy of the net up to the layer's activation, without modules that work in place, which captum cannot hook."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, module in net.body.named_children():
        modules[name] = nn.ReLU() if isinstance(module, nn.ReLU) else copy.deepcopy(module)
        if name == net.module_name(layer):
            break
    return nn.Sequential(modules).eval()


def by_gradient(net: Net, layer: str, x: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
    """Deconvolution in float64 as a gradient with rectified signals; this project walks back through these nets."""
    pixels = x.double().requires_grad_()
    with Rectifying():
        output = truncated(net, layer).double()(pixels)
    return torch.autograd.grad(output[torch.arange(len(x)), *index].sum(), pixels)[0]


def begin_captum(case: Case) -> Run:
    from captum.attr import Deconvolution

    of = given(case)
    models = {layer: Deconvolution(truncated(of.net, layer)).attribute for layer in of.places}
    return partial(without_warnings, captum, of, models)


def without_warnings(run: Callable[..., dict[str, torch.Tensor]], *args: object) -> dict[str, torch.Tensor]:
    """captum says at each call that it sets hooks and asks for gradients."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(*args)


def begin_ours(case: Case) -> Run:
    return partial(ours, given(case))


def reference(case: Case) -> Run:
    return partial(ours, given(case), by_gradient)


def relative_error(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> float:
    """Largest error of a layer's pictures by their norm. Where rounding changes which of two pixels pooling keeps, as
    it does in few pictures, these differ by more than rounding.
    """
    return max(((found[layer] - of).norm() / of.norm()).item() for layer, of in exact.items())


def contests() -> list[Contest]:
    names = {
        f"deconvolution: 352 units of five layers, {TOP} images each, 32 pixels": Case("config.yaml", 36, None),
        f"deconvolution: 4 units of each of five layers, {TOP} images each, 227 pixels": Case(
            "workflow/experiments/imagenet.yaml", 256, 4
        ),
    }
    ways = [
        Way("this project", begin_ours, 1e-2),
        Way("captum's Deconvolution, unit by unit", begin_captum, 1e-2, package="captum"),
    ]
    return [Contest(name, ways, case, reference, relative_error) for name, case in names.items()]
