"""Nets: crops, weights that match their description, and architectures of all kinds."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.nets import odd
from tests.nets.faulty import Apply
from tests.presets import preset
from workflow.convergent.commands import InputError
from workflow.convergent.nets.building import fitting_layout
from workflow.convergent.nets.model import Net, build, load, save, weights_digest


def beside(description: Path, weights: Path) -> Path:
    """A copy of a description beside other weights."""
    return Path(shutil.copy(description, weights.with_suffix(".json")))


@pytest.mark.parametrize(
    ("mean", "scale"), [("image", "bytes"), ("channel", "bytes"), ("image", "unit"), ("channel", "unit")]
)
def test_pixels_are_standardised_as_configured(architecture: dict, mean: str, scale: str) -> None:
    architecture["pixels"] = {"mean": mean, "scale": scale}
    architecture["crop"] = 20
    images = np.random.default_rng(0).integers(0, 256, (50, 20, 20, 3), np.uint8)
    images[..., 0] //= 2
    net = preset(architecture, 3, 4, 20, 0)
    net.standardise_with(images)
    x = net.centre_crop(torch.from_numpy(images)).double().numpy()
    over = (0,) if mean == "image" else (0, 2, 3)
    np.testing.assert_allclose(x.mean(over), 0, atol=1e-4 if scale == "bytes" else 1e-6)
    assert net.deviation == 1 if scale == "bytes" else x.std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("mean", ["image", "channel"])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_constant_images_are_not_divided_by_zero(architecture: dict, mean: str, value: int) -> None:
    architecture["pixels"] = {"mean": mean, "scale": "unit"}
    images = np.full((7, 20, 20, 3), value, np.uint8)
    net = preset(architecture, 3, 4, 20, 0)
    net.standardise_with(images)
    assert net.deviation == 1
    assert not net.centre_crop(torch.from_numpy(images)).any()


@pytest.mark.parametrize("mean", ["image", "channel"])
def test_standardising_copies_no_images(architecture: dict, mean: str) -> None:
    """A copy in float64 would take eight times their bytes."""
    architecture["pixels"] = {"mean": mean, "scale": "unit"}
    images = np.random.default_rng(0).integers(0, 256, (1000, 20, 20, 3), np.uint8)
    net = preset(architecture, 3, 4, 20, 0)
    tracemalloc.start()
    net.standardise_with(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 2


@pytest.fixture
def cropper(architecture: dict) -> tuple[Net, torch.Tensor]:
    """A net whose mean differs between pixels, and images (6, 20, 20, 3)."""
    net = preset(architecture, 3, 4, 20, 0)
    images = np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), np.uint8)
    net.standardise_with(images[:3])
    return net, torch.from_numpy(images)


def standardised(net: Net, images: torch.Tensor) -> torch.Tensor:
    """Standardised whole images. (N, size, size, C) -> (N, C, size, size)"""
    return ((images.float() - net.mean) / net.deviation).permute(0, 3, 1, 2)


def test_centre_crop_is_the_middle(cropper: tuple) -> None:
    net, images = cropper
    torch.testing.assert_close(net.centre_crop(images), standardised(net, images)[:, :, 2:18, 2:18], rtol=0, atol=0)


def test_random_crop_at_the_centre_is_the_centre_crop(cropper: tuple) -> None:
    net, images = cropper
    corner, plain = torch.full((len(images),), 2), torch.zeros(len(images), dtype=torch.bool)
    pixels = images[:, 2:18, 2:18]
    torch.testing.assert_close(net.crop(pixels, corner, corner, plain), net.centre_crop(images), rtol=0, atol=0)


def test_crops_are_where_they_are_asked_for_and_mirrored(cropper: tuple) -> None:
    net, images = cropper
    rows, columns = torch.tensor([0, 4, 0, 4, 1, 3]), torch.tensor([0, 0, 4, 4, 3, 2])
    flip = torch.tensor([False, True, False, True, True, False])
    cut = [
        image[row : row + 16, column : column + 16] for image, row, column in zip(images, rows, columns, strict=True)
    ]
    for k, crop in enumerate(net.crop(torch.stack(cut), rows, columns, flip)):
        whole = standardised(net, images)[k, :, rows[k] : rows[k] + 16, columns[k] : columns[k] + 16]
        torch.testing.assert_close(crop, whole.flip(-1) if flip[k] else whole, rtol=0, atol=0)


def test_nets_survive_the_disk(nets: dict[str, Path], architecture: dict) -> None:
    net = load(nets["net1"])
    assert not net.training
    assert (net.settings, net.channels, net.classes, net.size) == (architecture, 3, 4, 20)
    x = torch.rand(2, 3, 16, 16)
    fresh = preset(architecture, 3, 4, 20, seed=1).eval()
    torch.testing.assert_close(net(x), fresh(x), rtol=0, atol=0)
    assert not torch.equal(net.mean, fresh.mean)  # buffers are of the weights
    assert weights_digest(net) == json.loads(nets["net1"].read_text())["sha256"]


@pytest.mark.parametrize("name", ["body.conv1.weight", "body.conv4.bias", "body.fc8.weight", "mean", "deviation"])
def test_one_changed_weight_is_refused(nets: dict[str, Path], tmp_path: Path, name: str) -> None:
    weights = torch.load(nets["net0"].with_suffix(".pt"), weights_only=True)
    weights[name][(-1,) * weights[name].dim()] += 1e-3
    torch.save(weights, tmp_path / "other.pt")
    with pytest.raises(
        InputError, match=r"other\.pt: its weights do not match the digest in .*other\.json; make it again: rm -r "
    ):
        load(beside(nets["net0"], tmp_path / "other.pt"))


def test_missing_weights_are_refused(nets: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.pt: no such file"):
        load(beside(nets["net0"], tmp_path / "gone.pt"))


@pytest.mark.parametrize("kept", [0, 1, 2000, -1])
def test_torn_weights_are_refused(nets: dict[str, Path], tmp_path: Path, kept: int) -> None:
    (tmp_path / "torn.pt").write_bytes(nets["net0"].with_suffix(".pt").read_bytes()[:kept])
    with pytest.raises(
        InputError, match=r"torn\.pt: damaged, or not the weights of .*torn\.json; make it again: rm -r .*$"
    ):
        load(beside(nets["net0"], tmp_path / "torn.pt"))


@pytest.mark.parametrize("changed", [{"fc": [{"units": 12}]}, {"fc": [{"units": 12}, {"units": 11}]}])
def test_weights_of_another_architecture_are_refused(
    nets: dict[str, Path], tmp_path: Path, architecture: dict, changed: dict
) -> None:
    other = preset(architecture | changed, 3, 4, 20, 0)
    save(other, tmp_path / "other.pt", tmp_path / "another.json")
    with pytest.raises(InputError) as refusal:
        load(beside(nets["net0"], tmp_path / "other.pt"))
    assert "\n" not in str(refusal.value)
    assert "other.pt: damaged, or not the weights" in str(refusal.value)


SETTINGS = {"crop": 32, "pixels": {"mean": [0.5, 0.4, 0.3], "deviation": [0.2, 0.25, 0.5]}}


def small(num_classes: int = 5) -> torch.nn.Module:
    """An architecture of a user's own, named by module and function."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten(), torch.nn.LazyLinear(num_classes)
    )


def fixed() -> torch.nn.Module:
    """An architecture that does not take the number of classes."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 7))


def nothing() -> int:
    return 3


def images_out() -> torch.nn.Module:
    return torch.nn.Conv2d(3, 3, 1)


def flat() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(5, 7))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "classes"),
    [("torchvision:resnet18", 9), ("torchvision:squeezenet1_1", 9), (f"{__name__}:small", 9), (f"{__name__}:fixed", 7)],
)
def test_any_architecture_survives_the_disk(tmp_path: Path, architecture: str, classes: int) -> None:
    """The saved weights differ from the initial ones, and mean and deviation are given."""
    net = build(architecture, SETTINGS, 3, 9, 40, seed=3)
    net.standardise_with(np.empty(0))
    with torch.no_grad():
        for weights in net.parameters():
            weights.mul_(1.5)
    save(net, tmp_path / "net0.pt", tmp_path / "net0.json", seed=3)
    found = load(tmp_path / "net0.json", {"net0": {"first": "0"}})
    assert (found.classes, found.architecture, found.module_name("first")) == (classes, architecture, "0")
    assert not found.training
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8))
    x = found.centre_crop(pixels)
    mean, deviation = (torch.tensor(SETTINGS["pixels"][name]) for name in ("mean", "deviation"))
    torch.testing.assert_close(x, ((pixels / 255 - mean) / deviation)[:, 4:36, 4:36].permute(0, 3, 1, 2))
    assert torch.equal(found(x), net.eval()(x))


ODD = {"crop": 16, "pixels": {"mean": [0.5] * 3, "deviation": [0.2] * 3}}


@pytest.mark.parametrize(
    ("function", "layout"), [("LeNet", torch.contiguous_format), ("wide", torch.channels_last), ("lazy", None)]
)
def test_a_net_runs_as_its_author_ran_it(function: str, layout: torch.memory_format | None) -> None:
    """Alone in plain torch, on contiguous crops; in training too."""
    net = build(f"tests.nets.odd:{function}", ODD, 3, 2, 20, seed=4)
    net.standardise_with(np.empty(0))
    assert layout in (None, net.layout)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3), np.uint8))
    own = getattr(odd, function)() if function != "LeNet" else odd.LeNet(2)
    own.eval()(torch.zeros(1, 3, 16, 16))
    own.load_state_dict(net.body.state_dict())
    crops = ((pixels[:, 2:18, 2:18] / 255 - 0.5) / 0.2).permute(0, 3, 1, 2).contiguous()
    torch.testing.assert_close(net.eval()(net.centre_crop(pixels)), own(crops))
    net.train()
    at = torch.full((5,), 2)
    crop = net.crop(pixels[:, 2:18, 2:18], at, at, torch.zeros(5, dtype=torch.bool))
    torch.testing.assert_close(net(crop), own.train()(crops))


@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize(("apart", "layout"), [(1e-5, torch.channels_last), (0.1, torch.contiguous_format)])
def test_outputs_of_both_layouts_are_compared_by_their_size(
    size: float, apart: float, layout: torch.memory_format
) -> None:
    """A share of the output lies apart where channels are last."""

    def output(_: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x), 2), size if x.is_contiguous() else size * (1 + apart))

    body, crops = Apply(output), torch.ones(3, 3, 4, 4)
    assert fitting_layout(body, crops, body(crops)) == layout


def test_equal_numbers_under_other_names_or_in_other_shapes_are_other_weights() -> None:
    sets = [{"a": (2, 3), "b": (6,)}, {"a": (2, 3), "c": (6,)}, {"a": (3, 2), "b": (6,)}, {"a": (6,), "b": (2, 3)}]
    of = [torch.nn.ParameterDict({name: torch.ones(shape) for name, shape in shapes.items()}) for shapes in sets]
    assert len({weights_digest(weights) for weights in of}) == len(sets)


def test_the_seed_decides_lazy_weights_too(tmp_path: Path) -> None:
    digests = set()
    for _ in range(2):
        torch.rand(7)
        digests.add(weights_digest(build("tests.nets.odd:lazy", ODD, 3, 2, 16, seed=5)))
    assert len(digests) == 1
    assert digests != {weights_digest(build("tests.nets.odd:lazy", ODD, 3, 2, 16, seed=6))}


def test_a_net_before_training_has_the_layers_of_the_net_it_becomes(tmp_path: Path) -> None:
    net = build(f"{__name__}:fixed", SETTINGS, 3, 9, 40, seed=3)
    save(net, tmp_path / "before.pt", tmp_path / "before.json", control_of="net0")
    assert load(tmp_path / "before.json", {"net0": {"last": "1"}}).module_name("last") == "1"


def test_the_seed_decides_the_weights_of_any_architecture() -> None:
    """Torch's global generator is left as it was."""
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    digests = [weights_digest(build("torchvision:squeezenet1_1", SETTINGS, 3, 9, 40, seed)) for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_edit_of_a_users_architecture_changes_the_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_net.py").write_text(
        "import torch\n\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 2))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    net = build("own_net:make", SETTINGS, 3, 9, 40, seed=0)
    descriptions = []
    for edit in ("", "# edited\n", ""):
        with (tmp_path / "own_net.py").open("a") as file:
            file.write(edit)
        save(net, tmp_path / "net0.pt", tmp_path / "net0.json")
        descriptions.append((tmp_path / "net0.json").read_text())
    assert descriptions[0] != descriptions[1] == descriptions[2]


def test_weights_are_not_loaded_into_a_net_of_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper's ReLU becomes a Tanh: shapes are equal, and nothing else would notice."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("stale_net.py").write_text(
        "import importlib\n\nimport torch\n\n\ndef make():\n    act = importlib.import_module('stale' + '_act').act\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), act, torch.nn.Linear(3072, 2))\n"
    )
    Path("stale_act.py").write_text("import torch\n\nact = torch.nn.ReLU()\n")
    save(build("stale_net:make", SETTINGS, 3, 9, 40, seed=0), "net0.pt", "net0.json")
    assert {"stale_net.py", "stale_act.py"} <= set(json.loads(Path("net0.json").read_text())["code"])
    load("net0.json")
    Path("stale_act.py").write_text("import torch\n\nact = torch.nn.Tanh()\n")
    with pytest.raises(
        InputError,
        match=r"net0\.json: stale_act\.py has changed since this net was made; make it again: rm -r net0\.json, then",
    ):
        load("net0.json")


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("torchvision:resnet19", "torchvision has no model 'resnet19', it has alexnet, "),
        ("no_such_module:make", "No module named 'no_such_module'; modules are looked for where snakemake runs"),
        (f"{__name__}:missing", f"module {__name__} has no missing"),
        (f"{__name__}:nothing", "returns a int, it must be a torch module"),
        (f"{__name__}:images_out", r"puts out \(3, 3, 32, 32\) for 3 images, it must be logits"),
        (f"{__name__}:flat", "cannot take crops of 32x32x3: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_impossible_architectures_are_refused(architecture: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"^architecture: .*{said}") as stopped:
        build(architecture, SETTINGS, 3, 9, 40, seed=0)
    assert "\n" not in str(stopped.value)


def test_mean_and_deviation_of_other_channels_are_refused() -> None:
    net = preset_of_grey()
    with pytest.raises(InputError, match=r"^pixels\.mean: \[0\.5, 0\.4, 0\.3\], but images have 1 channels$"):
        net.standardise_with(np.empty(0))


def preset_of_grey() -> Net:
    return Net(torch.nn.Flatten(), "", SETTINGS, 1, 2, 40)
