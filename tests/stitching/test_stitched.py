"""Stitched nets: planted mappings give top-1 accuracies that are known beforehand."""

import csv
import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.presets import recorded
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.moments import accumulate, merge
from workflow.convergent.nets import activations
from workflow.convergent.nets.model import Net, load, save
from workflow.convergent.stitching import fit, stitched
from workflow.convergent.stitching.mappings import Scale

LAYER = "conv2"


@pytest.fixture(scope="module")
def loaded(nets: dict[str, Path]) -> dict[str, Net]:
    return {name: load(path) for name, path in nets.items()}


@pytest.fixture(scope="module")
def stores(images: dict[str, Path], nets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Mappings of conv2 from real moments: net0 to net1, net1 onto itself, and net0 as a control. At the last decay no
    weight is left.
    """
    folder = tmp_path_factory.mktemp("stitching")
    paths = {}
    for end in (".json", ".pt"):
        shutil.copy(nets["net0"].with_suffix(end), folder / f"net0_untrained{end}")
    controls = ["--controls", str(folder / "net0_untrained.json"), "--control-layers", LAYER]
    for split in ("train", "val"):
        shard, paths[split] = (str(folder / f"{name}/{split}.zarr/zarr.json") for name in ("shard", "merged"))
        named = ["--nets", *map(str, nets.values()), *controls, "--layers", LAYER]
        accumulate.main([str(images[split]), shard, *named, "--blocks", "2"])
        merge.main([shard, paths[split]])
    pairs = ["net0-net1", "net1-net1", "net0_untrained-net1"]
    fit.main([paths["train"], paths["val"], str(folder), "--pairs", *pairs, "--decays", "0", "1e-3", "10"])
    return {pair: folder / f"{pair}.zarr/zarr.json" for pair in pairs}


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
    activation = recorded(net, x, [layer])[layer]
    assert torch.equal(activations.tail(net, layer)(x, activation), net(x))
    whole = Net(nn.ModuleDict({"inner": net.body}), "", net.settings, 3, 4, 20)  # its body is no nn.Sequential
    whole.body.forward = net.body.forward
    assert torch.equal(activations.tail(whole, f"inner.{net.module_name(layer)}")(x, activation), net(x))
    wrong = activations.tail(whole, f"inner.{net.module_name(layer)}")(x, 0 * activation)
    assert torch.equal(wrong, activations.tail(net, layer)(x, 0 * activation))


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 4)])
def test_a_mapping_is_destandardised(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    source = Scale(rng.normal(size=3), np.array([2.0, 0.5, 0.0]))
    target = Scale(rng.normal(size=4), np.array([1.0, 3.0, 0.2, 0.0]))
    weights = rng.normal(size=(4, 3))
    x = rng.normal(size=shape)
    mapped = stitched.Affine(weights, source, target)(torch.from_numpy(x).float()).numpy()
    live = np.moveaxis(x, 1, -1)[..., :2]
    standardised = (live - source.mean[:2]) / source.deviation[:2]
    expected = target.mean + target.deviation * (standardised @ weights[:, :2].T)
    np.testing.assert_allclose(np.moveaxis(mapped, 1, -1), expected, rtol=1e-5, atol=1e-6)


def test_controls_are_what_they_must_be(
    loaded: dict[str, Net], images: dict[str, Path], stores: dict[str, Path]
) -> None:
    """With the second net's predictions for labels, it and its own mapping are right and zero predicts one class."""
    rows = store.StoredArray(images["val"], "images")
    predicted = {name: predictions(net, rows) for name, net in loaded.items()}
    stitched_nets = stitched.all_stitched_nets(stores["net0-net1"], stores["net1-net1"], stores["net0-net1"])
    accuracy = stitched.top1_accuracy(stitched_nets, recorder(loaded), rows, predicted["net1"], batch=7)
    assert accuracy["target"] == 1
    assert accuracy["self"] == 1
    assert accuracy["source"] == np.mean(predicted["net0"] == predicted["net1"])
    assert accuracy["zero"] in [np.mean(predicted["net1"] == k) for k in range(4)]
    assert accuracy["0 relu"] == accuracy["0 untrained"]  # one mapping is given for both here
    assert "2" not in stitched_nets  # all its weights are zero


def test_each_stitched_net_joins_the_nets_of_its_own_mapping(stores: dict[str, Path]) -> None:
    """In place of the untrained net's the mapping of net1 onto itself is given: another net, and other weights."""
    mapped, other = stores["net0-net1"], stores["net1-net1"]
    stitched_nets = stitched.all_stitched_nets(mapped, other, other)
    paths = {"0": mapped, "0 relu": mapped, "1 untrained": other, "0 untrained": other, "self": other}
    for name, path in paths.items():
        found, expected = stitched_nets[name], stitched.stored_mapping(path, int(name[0]) if name[0].isdigit() else 0)
        affine = found.between[0] if isinstance(found.between, nn.Sequential) else found.between
        assert (found.head, found.tail) == tuple(path.parent.stem.split("-"))
        assert torch.equal(affine.gain, expected.gain)
        assert torch.equal(affine.bias, expected.bias)
        rectified = isinstance(found.between, nn.Sequential) and isinstance(found.between[1], nn.ReLU)
        assert rectified == (name.split()[-1] in ("relu", "untrained"))
    assert stitched_nets["zero"].head == "net0"


def test_any_mapping_between_is_applied(loaded: dict[str, Net], images: dict[str, Path]) -> None:
    class Negative(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -x

    rows = store.StoredArray(images["val"], "images")
    predicted = predictions(loaded["net1"], rows)
    twice = stitched.StitchedNet("net1", nn.Sequential(Negative(), Negative()), "net1")
    zeroed = stitched.StitchedNet("net1", nn.Sequential(Negative(), nn.ReLU()), "net1")
    stitched_nets = {"twice": twice, "zeroed": zeroed}
    accuracy = stitched.top1_accuracy(stitched_nets, recorder(loaded), rows, predicted, batch=30)
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
@pytest.mark.parametrize(("strides", "resample"), [((1, 1), "none"), ((1, 2), "area")])
def test_each_stitched_net_alone_is_as_among_all(
    images: dict[str, Path], kinds: tuple[bool, bool], strides: tuple[int, int], resample: str
) -> None:
    """Modules that work in place change nothing that another stitched net reads."""
    torch.manual_seed(0)
    both = {f"net{k}": in_place_net(*arguments) for k, arguments in enumerate(zip(kinds, strides, strict=True))}
    rows = store.StoredArray(images["val"], "images")
    scale, rng = Scale(np.zeros(5), np.ones(5)), np.random.default_rng(0)
    stitched_nets = {net: stitched.StitchedNet(net, nn.Identity(), net) for net in both}
    stitched_nets |= {
        f"{head} {tail} {k}": stitched.StitchedNet(head, stitched.Affine(rng.normal(size=(5, 5)), scale, scale), tail)
        for k in range(4)
        for head in both
        for tail in both
    }

    def accuracies(names: Iterable[str], labels: np.ndarray) -> dict[str, float]:
        chosen = {name: stitched_nets[name] for name in names}
        recorded = activations.Recorder(both, ["first"], resample=resample)
        return stitched.top1_accuracy(chosen, recorded, rows, labels, batch=8)

    for labels in rng.integers(0, 4, (3, len(rows))):
        together = accuracies(stitched_nets, labels)
        assert together == {name: accuracies([name], labels)[name] for name in stitched_nets}
        for name, net in both.items():
            assert together[name] == np.mean(predictions(net, rows) == labels)


def test_every_stitched_net_has_its_own_nets_and_its_own_mapping(stores: dict[str, Path]) -> None:
    """A control from another net stands for the untrained one, so that no mapping is given twice."""
    mapped, onto_itself = stores["net0-net1"], stores["net1-net1"]
    for untrained, head in ((onto_itself, "net1"), (mapped, "net0")):
        found = stitched.all_stitched_nets(mapped, onto_itself, untrained)
        assert {name: (net.head, net.tail) for name, net in found.items()} == {
            "source": ("net0", "net0"),
            "target": ("net1", "net1"),
            "self": ("net1", "net1"),
            **dict.fromkeys(("zero", "0", "0 relu", "1", "1 relu"), ("net0", "net1")),
            **dict.fromkeys(("0 untrained", "1 untrained"), (head, "net1")),
        }
        path_of = {"0": (mapped, 0), "1": (mapped, 1), "self": (onto_itself, 0)}
        for name, (path, point) in {**path_of, "0 untrained": (untrained, 0), "1 untrained": (untrained, 1)}.items():
            between = found[name].between[0] if "untrained" in name else found[name].between
            assert torch.equal(between.gain, stitched.stored_mapping(path, point).gain)
        gains = [stitched.stored_mapping(*place).gain for place in path_of.values()]
        assert not any(torch.equal(a, b) for a, b in itertools.combinations(gains, 2))


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
            mapping = stitched.Affine(rng.normal(size=(5, 5)), centre, Scale(np.zeros(5), np.ones(5)))
            x = x.unflatten(2, (8, -1)).unflatten(4, (8, -1)).mean((3, 5))  # as it is where there are 8 x 8
            x = (torch.einsum("ts,nsyx->ntyx", mapping.gain, x) + mapping.bias[:, None, None]).relu()
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3) if tail == "fine" else x
            features = (nets[tail].body.second(x) + x).mean((2, 3))
            nets[tail].body.last.bias -= nets[tail].body.last(features).mean(0)  # so that classes differ
            predicted = nets[tail].body.last(features).argmax(1).numpy()
        assert len(np.unique(predicted)) > 1
        joined = {"joined": stitched.StitchedNet(head, nn.Sequential(mapping, nn.ReLU()), tail)}
        recorder = activations.Recorder(nets, ["first"], resample="area")
        assert stitched.top1_accuracy(joined, recorder, rows, predicted, batch=7) == {"joined": 1}


def test_a_row_has_the_accuracies_of_its_point_and_zero_where_no_weight_is_left() -> None:
    accuracy = {"source": 0.9, "target": 0.8, "self": 0.8, "zero": 0.1, "0": 0.7, "0 relu": 0.6, "1 untrained": 0.3}
    path = {"decay": np.array([0, 0.5]), "alpha": np.array([0, 3.5])}
    first, second = stitched.table_rows(accuracy, path)
    common = {"source": 0.9, "target": 0.8, "self": 0.8, "zero": 0.1}
    assert first == {"decay": 0, "alpha": 0, "top1": 0.7, "top1_relu": 0.6, "untrained_relu": 0.1, **common}
    assert second == {"decay": 0.5, "alpha": 3.5, "top1": 0.1, "top1_relu": 0.1, "untrained_relu": 0.3, **common}


def test_a_tail_with_other_classes_than_the_images_has_no_accuracy(
    loaded: dict[str, Net], capsys: pytest.CaptureFixture[str]
) -> None:
    stitched_nets = {name: stitched.StitchedNet("net0", nn.Identity(), name) for name in loaded}
    assert stitched.with_classes(stitched_nets, loaded, 4) == stitched_nets
    assert capsys.readouterr().out == ""
    assert stitched.with_classes(stitched_nets, loaded, 5) == {}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "net0 has 4 classes, the images have 5: its top-1 accuracy is left empty"
    assert len(lines) == 2


@pytest.fixture
def given(images: dict[str, Path], nets: dict[str, Path], stores: dict[str, Path], tmp_path: Path) -> dict[str, str]:
    return {
        "images": str(images["val"]),
        "output": str(tmp_path / "functional" / "net0-net1.csv"),
        "mapped": str(stores["net0-net1"]),
        "self": str(stores["net1-net1"]),
        "untrained": str(stores["net0_untrained-net1"]),
    }


@pytest.fixture
def descriptions(nets: dict[str, Path], stores: dict[str, Path]) -> list[Path]:
    """Of all nets, the control among them."""
    return [*nets.values(), stores["net0-net1"].parents[1] / "net0_untrained.json"]


def arguments(given: dict[str, str], nets: list[Path]) -> list[str]:
    options = [part for name in ("mapped", "self", "untrained") for part in (f"--{name}", given[name])]
    return [given["images"], given["output"], "--nets", *map(str, nets), *options, "--threads", "1"]


def test_the_table_has_a_row_for_every_point(given: dict[str, str], descriptions: list[Path]) -> None:
    stitched.main(arguments(given, descriptions))
    with open(given["output"], newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["decay"]) for row in table] == [0, 1e-3, 10]
    assert [float(row["alpha"]) for row in table] == [0, 7e-3, 70]
    assert {row["pair"] for row in table} == {"net0-net1"}
    assert all(row["self"] == row["target"] for row in table)
    assert table[2]["top1"] == table[2]["top1_relu"] == table[2]["untrained_relu"] == table[2]["zero"]


def test_a_control_without_an_unpenalised_mapping_is_refused(
    given: dict[str, str], descriptions: list[Path], stores: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "net1-net1.zarr" / "zarr.json"
    arrays, attributes = store.load(stores["net1-net1"]), store.attributes(stores["net1-net1"])
    keep = {key: attributes[key] for key in attributes if key not in ("arrays", "chunks", "sha256")}
    store.save(path, arrays | {"decay": np.array([0.1, 0.2, 0.3])}, **keep)
    with pytest.raises(SystemExit, match=r"--self: .*net1-net1\.zarr/zarr\.json has no decay of 0"):
        stitched.main(arguments(given | {"self": str(path)}, descriptions))


def test_a_net_that_is_missing_is_named(given: dict[str, str], nets: dict[str, Path]) -> None:
    with pytest.raises(SystemExit, match=r"--nets: net1 given, but .* maps net0-net1"):
        stitched.main(arguments(given, [nets["net1"]]))


def test_other_weights_are_refused(given: dict[str, str], nets: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "net0.json"
    save(load(nets["net1"]), other.with_suffix(".pt"), other)
    with pytest.raises(SystemExit, match="weights of net0 differ"):
        stitched.main(arguments(given, [other, nets["net1"]]))


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
    mapping = stitched.Affine(np.random.default_rng(1).normal(size=(5, 5)), scale, scale)
    between = nn.Sequential(mapping, nn.ReLU())
    x = both["net0"].centre_crop(torch.from_numpy(rows[np.arange(30)]))
    head, tail = both["net0"].body[0], both["net1"].body[1:]
    mapped = between(functional.adaptive_avg_pool2d(head(x), min(sides)))
    predicted = tail(functional.interpolate(mapped, size=(sides[1], sides[1]), mode="nearest")).argmax(1).numpy()
    assert len(set(predicted)) > 3
    stitched_nets = {"0 relu": stitched.StitchedNet("net0", between, "net1")}
    recorded = activations.Recorder(both, ["first"], resample="area")
    assert stitched.top1_accuracy(stitched_nets, recorded, rows, predicted, batch=8) == {"0 relu": 1}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(loaded: dict[str, Net], images: dict[str, Path], value: float) -> None:
    """A NaN logit would be taken for the predicted class, and others may hide an infinite one."""

    class Breaking(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(torch.arange(len(x))[:, None] == 6, value, x)

    rows, recorded = store.StoredArray(images["val"], "images"), activations.Recorder(loaded, ["fc8"])
    whole = {"target": stitched.StitchedNet("net1", nn.Identity(), "net1")}
    stitched_nets = whole | {"2 relu": stitched.StitchedNet("net0", Breaking(), "net1")}
    labels = np.zeros(len(rows), int)
    assert stitched.top1_accuracy(whole, recorded, rows, labels, batch=7)
    with pytest.raises(InputError, match="fc8, net0-net1: logits of the stitched net '2 relu' are not all finite"):
        stitched.top1_accuracy(stitched_nets, recorded, rows, labels, batch=7)


def test_a_mapping_beyond_float32_is_refused() -> None:
    """From a unit of deviation 1e-30 to one of 1e20; with 1e5 it is applied."""
    source, target = Scale(np.zeros(1), np.array([1e-30])), Scale(np.zeros(1), np.array([1e20]))
    with pytest.raises(InputError, match=r"unit 0 to unit 0: a factor of 1e\+50 exceeds float32"):
        stitched.Affine(np.ones((1, 1)), source, target)
    mapped = stitched.Affine(np.ones((1, 1)), source, Scale(np.zeros(1), np.array([1e5])))
    assert mapped(torch.tensor([[2e-30]])).item() == pytest.approx(2e5, rel=1e-6)


@pytest.mark.parametrize(
    ("option", "pair", "said"),
    [
        ("self", "net0-net1", "--self: .* maps net0-net1; must map net1-net1"),
        ("untrained", "net0-net1", "--untrained: .* maps net0-net1; must map an untrained net to net1"),
        ("untrained", "net1-net1", "--untrained: .* maps net1-net1; must map an untrained net to net1"),
        ("mapped", "images", "a store of images; must be one of mapping"),
    ],
)
def test_mappings_in_the_place_of_others_are_refused(
    given: dict[str, str], descriptions: list[Path], stores: dict[str, Path], option: str, pair: str, said: str
) -> None:
    path = given["images"] if pair == "images" else str(stores[pair])
    with pytest.raises(SystemExit, match=said):
        stitched.main(arguments(given | {option: path}, descriptions))
    assert not Path(given["output"]).exists()
