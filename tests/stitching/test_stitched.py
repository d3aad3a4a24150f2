"""Stitched nets: planted mappings give top-1 accuracies that are known beforehand."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.presets import recorded
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.moments import accumulate, merge
from workflow.convergent.moments.blocks import assign_blocks, block_of_images
from workflow.convergent.nets import activations
from workflow.convergent.nets.model import Net, build, load
from workflow.convergent.stitching import assembly, fit, stitched
from workflow.convergent.stitching.mappings import Scale

pytestmark = pytest.mark.slow

LAYER = "conv2"


@pytest.fixture(scope="module")
def loaded(nets: dict[str, Path]) -> dict[str, Net]:
    return {name: load(path) for name, path in nets.items()}


ALPHA = 0.3
PAIRS = ["net0-net1", "net1-net0", "net1-net1", "net0_untrained-net1", "net1_untrained-net0"]


@pytest.fixture(scope="module")
def twins(nets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Controls: each net stands for the other one before its training."""
    folder = tmp_path_factory.mktemp("twins")
    for net, other in (("net0", "net1"), ("net1", "net0")):
        for end in (".json", ".pt"):
            shutil.copy(nets[other].with_suffix(end), folder / f"{net}_untrained{end}")
    return {f"{net}_untrained": folder / f"{net}_untrained.json" for net in nets}


@pytest.fixture(scope="module")
def stores(
    images: dict[str, Path], nets: dict[str, Path], twins: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Mappings of conv2 from real moments: of both ordered pairs, net1 onto itself, and from the controls.

    Of five fine blocks the layer keeps three, as a wide one. At the decay of 10 no weight is left. The control of net1
    has two penalties, as the workflow's.
    """
    folder = tmp_path_factory.mktemp("stitching")
    paths = {}
    controls = ["--controls", *map(str, twins.values()), "--control-layers", LAYER]
    for split in ("train", "val"):
        shard, paths[split] = (str(folder / f"{name}/{split}.zarr/zarr.json") for name in ("shard", "merged"))
        named = ["--nets", *map(str, nets.values()), *controls, "--layers", LAYER]
        options = ["--blocks", "5", "--seed", "7", "--wide-units", "1", "--wide-blocks", "3", "--threads", "1"]
        accumulate.main([str(images[split]), shard, *named, *options])
        merge.main([shard, paths[split]])
    penalties = ["--threads", "1", "--few", PAIRS[-1], "--decays", "0", "1e-3", "10", "--alphas", str(ALPHA)]
    fit.main([paths["train"], paths["val"], str(folder), "--pairs", *PAIRS, *penalties])
    return {pair: folder / f"{pair}.zarr/zarr.json" for pair in PAIRS} | {"moments": Path(paths["val"])}


def mappings_of(stores: dict[str, Path], *left_out: str) -> dict[str, Path]:
    return {pair: path for pair, path in stores.items() if pair not in ("moments", *left_out)}


def correct_of_all(
    stitched_nets: dict,
    recorded: activations.Recorder,
    images: store.StoredArray,
    labels: np.ndarray,
    batch: int = 7,
) -> dict[str, np.ndarray]:
    """Whether each stitched net is right on each image."""
    return stitched.correct_images(stitched_nets, recorded, images, np.arange(len(labels)), labels, batch)


def accuracies(*arguments: Any, batch: int = 7) -> dict[str, float]:
    """Top-1 accuracy of each stitched net."""
    return {name: of.mean() for name, of in correct_of_all(*arguments, batch).items()}


def recorder(loaded: dict[str, Net]) -> activations.Recorder:
    return activations.Recorder(loaded, [LAYER])


def predictions(net: Net, rows: store.StoredArray) -> np.ndarray:
    """The class that a net predicts for each image."""
    with torch.no_grad():
        return net(net.centre_crop(torch.from_numpy(rows[np.arange(len(rows))]))).argmax(1).numpy()


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv5", "fc7", "fc8"])
@torch.no_grad()
def test_head_and_tail_of_a_cut_net_compute_what_the_net_does(
    loaded: dict[str, Net], images: dict[str, Path], layer: str
) -> None:
    net = loaded["net0"]
    x = net.centre_crop(torch.from_numpy(store.StoredArray(images["val"], "images")[np.arange(8)]))
    activation, shape = recorded(net, x, [layer])[layer], activations.probe(net, [layer])[layer]
    assert torch.equal(activations.tail(net, layer, shape)(x, activation), net(x))
    whole = Net(nn.ModuleDict({"inner": net.body}), "", net.settings, 3, 4, 20)  # its body is no nn.Sequential
    whole.body.forward = net.body.forward
    hooked = activations.tail(whole, f"inner.{net.module_name(layer)}", shape)
    assert torch.equal(hooked(x, activation), net(x))
    assert torch.equal(hooked(x, 0 * activation), activations.tail(net, layer, shape)(x, 0 * activation))


ODD = {"crop": 16, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        ("LeNet", "conv"),
        ("wide", "1"),
        ("wide", "2"),
        ("cubic", "2"),
        ("Transformer", {"module": "block", "tokens": True, "class_tokens": 1}),
    ],
)
@torch.no_grad()
def test_what_a_layer_puts_out_goes_back_into_the_net(function: str, layer: object) -> None:
    """Activations of any memory layout, as mappings return them; class tokens stay the net's own."""
    net = build(f"tests.nets.odd:{function}", ODD, 3, 2, 16, seed=0).eval()
    net.layers = {"first": layer}
    x = net.laid_out(torch.randn((5, 3, 16, 16), generator=torch.Generator().manual_seed(0)))
    shape = activations.probe(net, ["first"])["first"]
    activation = activations.record(net, x, {"first": shape})["first"]
    tail = activations.tail(net, "first", shape)
    for layout in (torch.channels_last, torch.contiguous_format):
        torch.testing.assert_close(tail(x, activation.contiguous(memory_format=layout)), net.body(x))
    assert not torch.allclose(tail(x, activation.roll(1, dims=1)), net.body(x), rtol=1e-2)  # unit by unit


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 4)])
def test_a_mapping_is_destandardised(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    source = Scale(rng.normal(size=3), np.array([2.0, 0.5, 0.0]))
    target = Scale(rng.normal(size=4), np.array([1.0, 3.0, 0.2, 0.0]))
    weights = rng.normal(size=(4, 3))
    x = rng.normal(size=shape)
    mapped = assembly.Affine(weights, source, target)(torch.from_numpy(x).float()).numpy()
    live = np.moveaxis(x, 1, -1)[..., :2]
    standardised = (live - source.mean[:2]) / source.deviation[:2]
    expected = target.mean + target.deviation * (standardised @ weights[:, :2].T)
    np.testing.assert_allclose(np.moveaxis(mapped, 1, -1), expected, rtol=1e-5, atol=1e-6)


def assembled(stores: dict[str, Path]) -> dict[str, assembly.StitchedNet]:
    paths = mappings_of(stores)
    return assembly.assemble(paths, ["net0-net1"], assembly.joints(paths, ["net0-net1"], ALPHA))


def test_controls_are_what_they_must_be(
    loaded: dict[str, Net], images: dict[str, Path], twins: dict[str, Path], stores: dict[str, Path]
) -> None:
    """With the second net's predictions for labels, it and its own mapping are right and zero predicts one class."""
    rows = store.StoredArray(images["val"], "images")
    predicted = {name: predictions(net, rows) for name, net in loaded.items()}
    everything = loaded | {name: load(path) for name, path in twins.items()}
    accuracy = accuracies(assembled(stores), recorder(everything), rows, predicted["net1"])
    assert accuracy["whole/net1"] == accuracy["self/net1"] == 1
    assert accuracy["whole/net0"] == np.mean(predicted["net0"] == predicted["net1"])
    assert accuracy["zero/net1"] in [np.mean(predicted["net1"] == k) for k in range(4)]
    assert accuracy["untrained/net0-net1/0"] == 1  # from net1 to net1, whose activations are positive


def test_every_stitched_net_has_its_own_nets_and_its_own_mapping(stores: dict[str, Path]) -> None:
    """The figures' pair has the points with weights of its whole path, the other one those at two penalties."""
    found = assembled(stores)
    points = {"net0-net1": {0: 0, 1: 1, 3: 3}, "net1-net0": {0: 0, 1: 3}}  # name -> point of the path
    expected = {"whole/net0": ("net0", "net0"), "whole/net1": ("net1", "net1"), "self/net1": ("net1", "net1")}
    expected["zero/net1"] = ("net0", "net1")
    gains = {"self/net1": assembly.stored_mapping(stores["net1-net1"], 0).gain}
    for pair, of_pair in points.items():
        source, target = pair.split("-")
        twin = f"{source}_untrained-{target}"
        for number, point in of_pair.items():
            point_of_twin = number if pair == "net1-net0" else point  # it has two points
            kinds = {"relu": (source, pair, point), "untrained": (f"{source}_untrained", twin, point_of_twin)}
            kinds |= {"mapped": (source, pair, point)} if pair == "net0-net1" else {}
            for kind, (head, path, its) in kinds.items():
                expected[f"{kind}/{pair}/{number}"] = (head, target)
                gains[f"{kind}/{pair}/{number}"] = assembly.stored_mapping(stores[path], its).gain
    assert {name: (net.head, net.tail) for name, net in found.items()} == expected
    for name, gain in gains.items():
        rectified = isinstance(found[name].between, nn.Sequential)
        assert torch.equal((found[name].between[0] if rectified else found[name].between).gain, gain)
        assert rectified == name.startswith(("relu", "untrained"))
        assert not rectified or isinstance(found[name].between[1], nn.ReLU)
    distinct = [gain for name, gain in gains.items() if not name.startswith(("mapped", "self"))]
    assert len({gain.numpy().tobytes() for gain in distinct}) == len(distinct)


def test_any_mapping_between_is_applied(loaded: dict[str, Net], images: dict[str, Path]) -> None:
    class Negative(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -x

    rows = store.StoredArray(images["val"], "images")
    predicted = predictions(loaded["net1"], rows)
    twice = assembly.StitchedNet("net1", nn.Sequential(Negative(), Negative()), "net1")
    zeroed = assembly.StitchedNet("net1", nn.Sequential(Negative(), nn.ReLU()), "net1")
    stitched_nets = {"twice": twice, "zeroed": zeroed}
    accuracy = accuracies(stitched_nets, recorder(loaded), rows, predicted, batch=30)
    assert accuracy["twice"] == 1
    assert accuracy["zeroed"] < 1


class InPlace(nn.Module):
    """A net that is no sequence, works in place on its input and on the layer's output, and has a skip connection."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 5, 3, stride, 1), nn.Conv2d(5, 5, 3, 1, 1)
        self.last = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.mul_(0.7).add_(0.1))
        y = self.second(functional.relu_(x))
        return self.last((y + x).mean((2, 3)))


def in_place_net(sequence: bool, stride: int) -> Net:
    """A net with random weights whose layer ``first`` (``0`` of a sequence) is followed by in-place modules."""
    layers = [nn.Conv2d(3, 5, 3, stride, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    body = nn.Sequential(*layers, nn.Linear(20, 4)) if sequence else InPlace(stride)
    net = Net(body, "tests:in_place", {"crop": 16}, 3, 4, 20).eval()
    net.deviation.fill_(60)
    net.layers = {"first": "0"} if sequence else {}
    return net


@pytest.mark.parametrize("kinds", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(
    ("strides", "resample"), [((1, 1), "none"), pytest.param((1, 2), "area", marks=pytest.mark.slow)]
)
def test_each_stitched_net_alone_is_as_among_all(
    images: dict[str, Path], kinds: tuple[bool, bool], strides: tuple[int, int], resample: str
) -> None:
    """Modules that work in place change nothing that another stitched net reads."""
    torch.manual_seed(0)
    both = {f"net{k}": in_place_net(*arguments) for k, arguments in enumerate(zip(kinds, strides, strict=True))}
    rows = store.StoredArray(images["val"], "images")
    scale, rng = Scale(np.zeros(5), np.ones(5)), np.random.default_rng(0)
    stitched_nets = {net: assembly.StitchedNet(net, nn.Identity(), net) for net in both}
    stitched_nets |= {
        f"{head} {tail} {k}": assembly.StitchedNet(head, assembly.Affine(rng.normal(size=(5, 5)), scale, scale), tail)
        for k in range(2)
        for head in both
        for tail in both
    }

    def correct(names: Iterable[str], labels: np.ndarray) -> dict[str, list[bool]]:
        chosen = {name: stitched_nets[name] for name in names}
        recorded = activations.Recorder(both, ["first"], resample=resample)
        return {name: of.tolist() for name, of in correct_of_all(chosen, recorded, rows, labels, 8).items()}

    for labels in rng.integers(0, 4, (3, len(rows))):
        together = correct(stitched_nets, labels)
        assert together == {name: correct([name], labels)[name] for name in stitched_nets}
        for name, net in both.items():
            assert together[name] == (predictions(net, rows) == labels).tolist()


def test_a_mapping_is_applied_on_the_common_grid_and_its_result_brought_to_that_of_the_tail(
    images: dict[str, Path],
) -> None:
    """Of two nets with 16 x 16 and 8 x 8 positions, by hand: means over 2 x 2 positions, and repeated values."""
    torch.manual_seed(0)
    nets = {"fine": in_place_net(False, 1), "coarse": in_place_net(False, 2)}
    rows, rng = store.StoredArray(images["val"], "images"), np.random.default_rng(0)
    crops = nets["fine"].centre_crop(torch.from_numpy(rows[np.arange(len(rows))]))
    for head, tail in (("fine", "coarse"), ("coarse", "fine"), ("fine", "fine")):
        with torch.no_grad():
            x = nets[head].body.first(0.7 * crops + 0.1)
            centre = Scale(x.mean((0, 2, 3)).numpy(), np.ones(5))  # so that the ReLU behind the mapping cuts half off
            mapping = assembly.Affine(rng.normal(size=(5, 5)), centre, Scale(np.zeros(5), np.ones(5)))
            x = x.unflatten(2, (8, -1)).unflatten(4, (8, -1)).mean((3, 5))  # as it is where there are 8 x 8
            x = (torch.einsum("ts,nsyx->ntyx", mapping.gain, x) + mapping.bias[:, None, None]).relu()
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3) if tail == "fine" else x
            features = (nets[tail].body.second(x) + x).mean((2, 3))
            nets[tail].body.last.bias -= nets[tail].body.last(features).mean(0)  # so that classes differ
            predicted = nets[tail].body.last(features).argmax(1).numpy()
        assert len(np.unique(predicted)) > 1
        joined = {"joined": assembly.StitchedNet(head, nn.Sequential(mapping, nn.ReLU()), tail)}
        recorder = activations.Recorder(nets, ["first"], resample="area")
        assert accuracies(joined, recorder, rows, predicted) == {"joined": 1}


def test_hits_are_counted_in_the_block_of_each_image() -> None:
    correct, block = np.array([True, False, True, True, False]), np.array([2, 0, 0, 2, 2])
    assert stitched.hits(correct, block, 4).tolist() == [1, 0, 2, 0]


def test_a_point_without_weights_has_the_hits_of_the_mapping_to_means(stores: dict[str, Path]) -> None:
    """Where nothing is known of it the pair has no accuracy: its second net has other classes."""
    (first, _) = assembly.joints(mappings_of(stores), ["net0-net1"], ALPHA)
    numbers = {f"{kind}/net0-net1/{k}": k for kind in ("relu", "mapped", "untrained") for k in (0, 1, 3)}
    counted = {name: np.array([k, 5]) for name, k in numbers.items()} | {"zero/net1": np.array([9, 9])}
    arrays = stitched.arrays_of(first, counted)
    for kind in ("relu", "mapped", "untrained"):
        assert arrays[f"{kind}/net0-net1"].tolist() == [[0, 5], [1, 5], [9, 9], [3, 5]]
    np.testing.assert_allclose(arrays["alpha/net0-net1"], [0, 7e-3, 70, ALPHA])
    assert stitched.arrays_of(first, {}).keys() == {"alpha/net0-net1", "decay/net0-net1"}


def test_a_tail_with_other_classes_than_the_images_has_no_accuracy(
    loaded: dict[str, Net], capsys: pytest.CaptureFixture[str]
) -> None:
    stitched_nets = {name: assembly.StitchedNet("net0", nn.Identity(), name) for name in loaded}
    assert stitched.with_classes(stitched_nets, loaded, 4) == stitched_nets
    assert capsys.readouterr().out == ""
    assert stitched.with_classes(stitched_nets, loaded, 5) == {}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "net0 has 4 classes, the images have 5: its top-1 accuracy is left empty"
    assert len(lines) == 2


@pytest.fixture
def descriptions(nets: dict[str, Path], twins: dict[str, Path]) -> dict[str, Path]:
    """Of all nets, the controls among them."""
    return nets | twins


def run(images: Path, output: Path, nets: dict[str, Path], paths: dict[str, Path], *more: str) -> None:
    given = ["--nets", *map(str, nets.values()), "--mappings", *map(str, paths.values())]
    arguments = [*given, "--whole", "net0-net1", "--alpha", str(ALPHA), "--threads", "1", *more]
    stitched.main([str(images), str(output), *arguments])


def test_the_store_has_the_hits_of_each_block_of_the_moments(
    images: dict[str, Path],
    loaded: dict[str, Net],
    descriptions: dict[str, Path],
    stores: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Hits of both nets by block are counted here from the groups that the fine blocks of the moments were dealt."""
    output = tmp_path / "conv2.zarr" / "zarr.json"
    run(images["val"], output, descriptions, mappings_of(stores))
    arrays, attributes = store.load(output), store.attributes(output, "stitched nets")
    moments, known = store.load(stores["moments"], "count"), store.load(images["val"])
    positions = moments["count"].sum() // len(known["labels"])
    np.testing.assert_array_equal(arrays["images"] * positions, moments["count"])
    fine = assign_blocks(known["group"], 5, seed=7)
    blocks = [np.append(fine[0], fine[1]), np.append(fine[2], fine[3]), fine[4]]
    for net in ("net0", "net1"):
        right = predictions(loaded[net], store.StoredArray(images["val"], "images")) == known["labels"]
        assert arrays[f"whole/{net}"].tolist() == [right[block].sum() for block in blocks]
    np.testing.assert_array_equal(arrays["self/net1"], arrays["whole/net1"])
    shapes = {"relu/net0-net1": 4, "mapped/net0-net1": 4, "untrained/net0-net1": 4}
    shapes |= {"relu/net1-net0": 2, "untrained/net1-net0": 2}
    assert {name: len(array) for name, array in arrays.items() if "-" in name and array.ndim == 2} == shapes
    for kind in ("relu", "mapped", "untrained"):  # no weight is left at the third point
        np.testing.assert_array_equal(arrays[f"{kind}/net0-net1"][2], arrays["zero/net1"])
    np.testing.assert_allclose(arrays["alpha/net1-net0"], [0, ALPHA])
    assert (attributes["whole"], attributes["pairs"]) == (["net0-net1"], ["net0-net1", "net1-net0"])
    assert attributes["mappings"]["net1-net0"] == store.attributes(stores["net1-net0"])["sha256"]
    assert attributes["nets"].keys() == loaded.keys()
    assert (attributes["photographs"], attributes["evaluated"], attributes["of_images"]) == (15, 30, 30)


def test_some_images_are_the_same_for_all_nets_and_give_what_they_give_among_all(
    images: dict[str, Path],
    loaded: dict[str, Net],
    descriptions: dict[str, Path],
    stores: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Hits of every net, plain and stitched, are those of its predictions on the images that were drawn."""
    paths = {count: tmp_path / count / "conv2.zarr/zarr.json" for count in ("all", "30", "17")}
    for count, path in paths.items():
        run(images["val"], path, descriptions, mappings_of(stores), "--evaluated", count)
    everything, same, some = (store.load(path) for path in paths.values())
    for name, array in everything.items():
        np.testing.assert_array_equal(same[name], array)
    known = store.load(images["val"])
    index = stitched.evaluated_images(known["group"], 5, 7, 17)
    blocks = {"fine_blocks": 5, "blocks": 3, "seed": 7}
    block = block_of_images(known["group"], **blocks)[index]
    assert some["images"].tolist() == np.bincount(block, minlength=3).tolist()
    attributes = store.attributes(paths["17"])
    assert (attributes["evaluated"], attributes["of_images"]) == (17, 30)
    assert attributes["photographs"] == len(np.unique(known["group"][index]))
    (first, second) = assembly.joints(mappings_of(stores), ["net0-net1"], ALPHA)
    joined = assembly.assemble(mappings_of(stores), ["net0-net1"], (first, second))
    twins = {path.stem: load(path) for path in descriptions.values() if path.stem not in loaded}
    rows = store.StoredArray(images["val"], "images")
    correct = correct_of_all(joined, recorder(loaded | twins), rows, known["labels"])
    for name, of in correct.items():
        *kind, point = name.rsplit("/", 1) if name.count("/") == 2 else (name, None)
        array = some[kind[0]] if point is None else some[kind[0]][int(point)]
        assert array.tolist() == stitched.hits(of[index], block, 3).tolist(), name


@pytest.mark.parametrize("count", [1, 10, 52, 100, 519, 520])
def test_drawn_images_are_of_each_block_by_its_share(count: int) -> None:
    group = np.repeat(np.arange(52), 10)[np.random.default_rng(0).permutation(520)]
    index = stitched.evaluated_images(group, 13, 4, count)
    assert len(np.unique(index)) == count
    assert index.tolist() == sorted(index)
    of_block = np.array([np.isin(index, block).sum() for block in assign_blocks(group, 13, 4)])
    assert np.abs(of_block - count / 13).max() < 1
    assert index.tolist() == stitched.evaluated_images(group, 13, 4, count).tolist()
    if count < 520:
        assert index.tolist() != stitched.evaluated_images(group, 13, 5, count).tolist()
    assert set(index) <= set(stitched.evaluated_images(group, 13, 4, min(count + 7, 520)))


def test_every_image_is_drawn_as_often_as_any_other() -> None:
    """Also where blocks differ in size."""
    group = np.repeat(np.arange(6), [1, 2, 3, 7, 11, 16])
    often = np.zeros(40)
    for seed in range(3000):
        often[stitched.evaluated_images(group, 4, seed, 10)] += 1
    np.testing.assert_allclose(often / 3000, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 3000))


def test_more_images_than_there_are_are_refused(
    images: dict[str, Path], descriptions: dict[str, Path], stores: dict[str, Path], tmp_path: Path
) -> None:
    for count, said in {
        "31": "stitching.evaluated: 31, but there are 30 validation images",
        "0": "--evaluated: 0 is not possible; all, or a number from 1",
        "2.5": r"--evaluated: 2\.5 is not possible",
    }.items():
        with pytest.raises(SystemExit, match=said):
            run(images["val"], tmp_path / "o.zarr/zarr.json", descriptions, mappings_of(stores), "--evaluated", count)
    assert not list(tmp_path.iterdir())


def test_nets_of_the_users_own_have_no_control(
    images: dict[str, Path], nets: dict[str, Path], stores: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "conv2.zarr" / "zarr.json"
    run(images["val"], output, nets, mappings_of(stores, "net0_untrained-net1", "net1_untrained-net0"))
    kinds = {name.split("/")[0] for name in store.load(output)}
    assert kinds == {"images", "alpha", "decay", "relu", "mapped", "whole", "self", "zero"}


def test_nets_of_other_classes_leave_nothing_but_penalties(
    images: dict[str, Path], descriptions: dict[str, Path], stores: dict[str, Path], tmp_path: Path
) -> None:
    """The images have a class more than the nets, and the digest that the mappings know."""
    val = tmp_path / "val.zarr" / "zarr.json"
    about = store.attributes(images["val"])
    store.save(val, store.load(images["val"]), kind="images", split="val", classes=[*about["classes"], "more"])
    run(val, tmp_path / "conv2.zarr" / "zarr.json", descriptions, mappings_of(stores))
    kinds = {name.split("/")[0] for name in store.load(tmp_path / "conv2.zarr" / "zarr.json")}
    assert kinds == {"images", "alpha", "decay"}


def resaved(stores: dict[str, Path], given: str, folder: Path, arrays: dict, **attributes: object) -> dict[str, Path]:
    """The mappings with one that has other arrays or attributes."""
    path = folder / f"{given}.zarr" / "zarr.json"
    known = store.attributes(stores[given])
    keep = {key: known[key] for key in known if key not in ("arrays", "chunks", "sha256")}
    store.save(path, store.load(stores[given]) | arrays, **keep | attributes)
    return mappings_of(stores) | {given: path}


@pytest.mark.parametrize(
    ("pair", "arrays", "attributes", "said"),
    [
        ("net1-net1", {"decay": np.array([0.1] * 4)}, {}, r"net1-net1\.zarr/zarr\.json has no decay of 0; a mapping w"),
        (
            "net1-net0",
            {"alpha": np.array([0, 1, 2, 3.0])},
            {},
            r"--alpha 0\.3 is not on the path, which has 0, 1, 2, 3",
        ),
        (
            "net1_untrained-net0",
            {"alpha": np.array([0, 0.2])},
            {},
            r"--alpha 0\.3 is not on the path, which has 0, 0\.2",
        ),
        ("net1-net0", {}, {"layer": "conv3"}, "layers differ: "),
        ("net1-net0", {}, {"blocks": {"fine_blocks": 4, "blocks": 4, "seed": 7}}, "blocks differ: "),
        ("net1-net0", {}, {"images": {"val": "others"}}, "images differ: "),
        ("net1-net0", {}, {"nets": {"net0": "other"}}, "weights of net0 differ: "),
        ("net1-net0", {}, {"kind": "moments"}, "a store of moments; must be one of mapping"),
        ("net1-net0", {}, {"pair": "net0-net1"}, "--mappings: net0-net1 is given twice"),
    ],
)
def test_mappings_that_do_not_fit_are_refused(
    images: dict[str, Path],
    descriptions: dict[str, Path],
    stores: dict[str, Path],
    tmp_path: Path,
    pair: str,
    arrays: dict,
    attributes: dict,
    said: str,
) -> None:
    output = tmp_path / "conv2.zarr" / "zarr.json"
    with pytest.raises(SystemExit, match=said):
        run(images["val"], output, descriptions, resaved(stores, pair, tmp_path, arrays, **attributes))
    assert not output.exists()


@pytest.mark.parametrize(("left_out", "needed"), [("net0-net1", "net0-net1"), ("net1-net1", "net1-net1")])
def test_a_mapping_that_lacks_is_named(
    images: dict[str, Path],
    descriptions: dict[str, Path],
    stores: dict[str, Path],
    tmp_path: Path,
    left_out: str,
    needed: str,
) -> None:
    with pytest.raises(SystemExit, match=f"--mappings: stores of .*; --whole net0-net1 needs {needed}"):
        run(images["val"], tmp_path / "out.zarr/zarr.json", descriptions, mappings_of(stores, left_out))


def test_a_net_that_is_missing_is_named(
    images: dict[str, Path], nets: dict[str, Path], stores: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"--nets: net0, net1 given, but .* maps net0_untrained-net1"):
        run(images["val"], tmp_path / "out.zarr/zarr.json", nets, mappings_of(stores))


@pytest.mark.parametrize("strides", [(1, 2), (2, 1), (2, 2), (1, 1)])
@torch.no_grad()
def test_mappings_are_applied_on_the_common_grid(images: dict[str, Path], strides: tuple[int, int]) -> None:
    """Head to common grid, mapping, ReLU, tail's own grid, tail: by plain torch. A ReLU shows the order."""
    torch.manual_seed(0)
    both, sides = {}, [16 // stride for stride in strides]
    for k, (stride, side) in enumerate(zip(strides, sides, strict=True)):
        body = nn.Sequential(nn.Conv2d(3, 5, 3, stride, 1), nn.Flatten(), nn.Linear(5 * side**2, 300))
        both[f"net{k}"] = Net(body, "tests:plain", {"crop": 16}, 3, 300, 20).eval()
        both[f"net{k}"].layers = {"first": "0"}
    rows, scale = store.StoredArray(images["val"], "images"), Scale(np.zeros(5), np.ones(5))
    mapping = assembly.Affine(np.random.default_rng(1).normal(size=(5, 5)), scale, scale)
    between = nn.Sequential(mapping, nn.ReLU())
    x = both["net0"].centre_crop(torch.from_numpy(rows[np.arange(30)]))
    head, tail = both["net0"].body[0], both["net1"].body[1:]
    mapped = between(functional.adaptive_avg_pool2d(head(x), min(sides)))
    predicted = tail(functional.interpolate(mapped, size=(sides[1], sides[1]), mode="nearest")).argmax(1).numpy()
    assert len(set(predicted)) > 3
    stitched_nets = {"0 relu": assembly.StitchedNet("net0", between, "net1")}
    recorded = activations.Recorder(both, ["first"], resample="area")
    assert accuracies(stitched_nets, recorded, rows, predicted, batch=8) == {"0 relu": 1}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(loaded: dict[str, Net], images: dict[str, Path], value: float) -> None:
    """A NaN logit would be taken for the predicted class, and others may hide an infinite one."""

    class Breaking(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(torch.arange(len(x))[:, None] == 6, value, x)

    rows, recorded = store.StoredArray(images["val"], "images"), activations.Recorder(loaded, ["fc8"])
    whole = {"target": assembly.StitchedNet("net1", nn.Identity(), "net1")}
    stitched_nets = whole | {"2 relu": assembly.StitchedNet("net0", Breaking(), "net1")}
    labels = np.zeros(len(rows), int)
    assert correct_of_all(whole, recorded, rows, labels)
    said = "fc8, net0-net1: logits of the stitched net '2 relu' are not all finite; .*, 1 of the first 7: row 6 of "
    with pytest.raises(InputError, match=said):
        correct_of_all(stitched_nets, recorded, rows, labels)


def test_a_mapping_beyond_float32_is_refused() -> None:
    """From a unit of deviation 1e-30 to one of 1e20; with 1e5 it is applied."""
    source, target = Scale(np.zeros(1), np.array([1e-30])), Scale(np.zeros(1), np.array([1e20]))
    with pytest.raises(InputError, match=r"unit 0 to unit 0: a factor of 1e\+50 exceeds float32"):
        assembly.Affine(np.ones((1, 1)), source, target)
    mapped = assembly.Affine(np.ones((1, 1)), source, Scale(np.zeros(1), np.array([1e5])))
    assert mapped(torch.tensor([[2e-30]])).item() == pytest.approx(2e5, rel=1e-6)
