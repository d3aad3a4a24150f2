"""Weights from a file: the net computes with them, and weights that do not fit are refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.nets import given
from workflow.convergent.nets.model import build, load, weights_digest

SETTINGS = {"crop": 16, "pixels": {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}}
MODEL = "torchvision:squeezenet1_1"  # small, and its last layer is a convolution


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights for 6 classes."""
    file = tmp_path_factory.mktemp("theirs") / "weights.pth"
    torch.save(build(MODEL, SETTINGS | {"crop": 64}, 3, 6, 64, seed=7).body.state_dict(), file)
    return file


def run(file: Path, images: Path, folder: Path, architecture: str = MODEL, settings: dict = SETTINGS) -> Path:
    """Run the stage; the description that it writes."""
    out = [str(folder / f"net0.{kind}") for kind in ("json", "pt")]
    options = ["--seed", "0", "--architecture", architecture, "--settings", json.dumps(settings)]
    given.main([str(images), str(file), *out, *options])
    return folder / "net0.json"


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that are large enough for the architecture."""
    path = tmp_path_factory.mktemp("larger") / "train.zarr/zarr.json"
    store.save(path, {"images": np.zeros((4, 70, 70, 3), np.uint8)}, kind="images", classes=["a", "b"])
    return path


LARGE = SETTINGS | {"crop": 64}


@pytest.mark.slow
def test_the_net_computes_with_the_files_weights(theirs: Path, larger: Path, tmp_path: Path) -> None:
    net = load(run(theirs, larger, tmp_path, settings=LARGE))
    expected = build(MODEL, LARGE, 3, 6, 64, seed=7)
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(net(x), expected(x))
    assert (net.classes, net.size, net.channels) == (6, 70, 3)
    assert json.loads((tmp_path / "net0.json").read_text())["file"] == "weights.pth"


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["state_dict", "model", "module."])
def test_weights_within_a_checkpoint(theirs: Path, larger: Path, tmp_path: Path, inside: str) -> None:
    weights = torch.load(theirs, weights_only=True)
    wrapped = {f"module.{name}": x for name, x in weights.items()}
    torch.save(
        {"model": wrapped} if inside == "module." else {inside: weights, "epoch": 3}, tmp_path / "checkpoint.pth"
    )
    one = run(tmp_path / "checkpoint.pth", larger, tmp_path, settings=LARGE).read_text()
    two = run(theirs, larger, tmp_path, settings=LARGE).read_text()
    assert json.loads(one)["sha256"] == json.loads(two)["sha256"]


def test_the_log_says_what_was_left_out(
    theirs: Path, larger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {f"model.{name}": x for name, x in torch.load(theirs, weights_only=True).items()}
    torch.save({"state_dict": weights | {"loss.weight": torch.ones(2)}}, tmp_path / "lightning.ckpt")
    run(tmp_path / "lightning.ckpt", larger, tmp_path, settings=LARGE)
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{MODEL} is called with {{'num_classes': 6}}",
        "1 weights of the file are not of the net, first loss.weight",
    ]


def test_a_net_trained_here_keeps_its_mean_and_deviation(
    nets: dict[str, Path], images: dict[str, Path], tmp_path: Path
) -> None:
    path = run(nets["net1"].with_suffix(".pt"), images["train"], tmp_path, "alexnet", TINY)
    assert weights_digest(load(path)) == weights_digest(load(nets["net1"]))


def test_what_is_no_file_of_weights_is_refused(larger: Path, tmp_path: Path, theirs: Path) -> None:
    (tmp_path / "text.pth").write_text("weights")
    (tmp_path / "torn.pth").write_bytes(theirs.read_bytes()[:2000])
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")  # a whole module
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    for name, said in {
        "gone": "no such file",
        "text": "unreadable; save them by torch.save",
        "torn": "unreadable; save them by torch.save",
        "module": r"no weights by name, but a torch\.nn\.modules\.linear\.Linear; save them by torch.save",
        "list": "no weights by name; save them by torch.save",
    }.items():
        with pytest.raises(SystemExit, match=rf"^weights: .*{name}\.pth: {said}") as stopped:
            run(tmp_path / f"{name}.pth", larger, tmp_path, settings=LARGE)
        assert "\n" not in str(stopped.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features.0.bias": None}, r"features\.0\.bias is nothing, it must be \(64,\)"),
        ({"features.0.bias": torch.zeros(3)}, r"features\.0\.bias is \(3,\), it must be \(64,\)"),
        ({"extra": torch.zeros(3)}, r"extra is \(3,\), it must be nothing"),
    ],
)
def test_weights_that_do_not_fit_are_named(theirs: Path, larger: Path, tmp_path: Path, change: dict, said: str) -> None:
    weights = torch.load(theirs, weights_only=True) | change
    torch.save({name: x for name, x in weights.items() if x is not None}, tmp_path / "other.pth")
    with pytest.raises(SystemExit, match=rf"^weights: .*other\.pth do not fit {MODEL}: {said}$"):
        run(tmp_path / "other.pth", larger, tmp_path, settings=LARGE)


WEIGHT = "features.0.weight"


def with_weight(theirs: Path, folder: Path, change) -> Path:
    """The file of weights with one of them changed."""
    weights = torch.load(theirs, weights_only=True)
    weights[WEIGHT] = change(weights[WEIGHT])
    torch.save(weights, folder / "changed.pth")
    return folder / "changed.pth"


LOSSY = {
    "is complex64, it must be float32: the imaginary part would be lost": lambda x: x.to(torch.complex64),
    "is sparse_coo; it": lambda x: x.to_sparse(),
    "is sparse_csr; it": lambda x: x.flatten(1).to_sparse_csr(),
    "is quantised; it": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
    "is without values (meta); it": lambda x: x.to("meta"),
    "has float64 values that change in float32; convert them": lambda x: x.double() + 1e-12,
    "has int64 values that change in float32": lambda x: torch.full_like(x, 2**24, dtype=torch.int64) + 1,
    "has uint32 values that change in float32": lambda x: torch.full_like(x, 2**32 - 1, dtype=torch.uint32),
    "has float64 values that change": lambda x: torch.full_like(x, 1e300, dtype=torch.float64),
    "is not finite everywhere": lambda x: torch.full_like(x, torch.inf, dtype=torch.bfloat16),
}


@pytest.mark.filterwarnings(
    "ignore:Sparse CSR tensor support",
    "ignore:Validating sparse",
    "ignore:.*quantize_per_tensor",
    "ignore:TypedStorage",
)
@pytest.mark.parametrize("said", LOSSY)
def test_weights_that_would_change_are_refused(theirs: Path, larger: Path, tmp_path: Path, said: str) -> None:
    with pytest.raises(SystemExit, match=rf"changed\.pth: {re.escape(f'{WEIGHT} {said}')}") as stopped:
        run(with_weight(theirs, tmp_path, LOSSY[said]), larger, tmp_path, settings=LARGE)
    assert "\n" not in str(stopped.value)
    assert not (tmp_path / "net0.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.uint8, torch.bool]
)
def test_values_that_another_type_holds_are_taken_as_they_are(
    theirs: Path, larger: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    net = load(run(with_weight(theirs, tmp_path, lambda x: x.ceil().abs().to(dtype)), larger, tmp_path, settings=LARGE))
    found = net.body.state_dict()[WEIGHT]
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.load(theirs, weights_only=True)[WEIGHT].ceil().abs().to(dtype).float())


def test_a_name_that_stands_there_twice_is_refused(theirs: Path, larger: Path, tmp_path: Path) -> None:
    """Without what stands before one of them the other would be lost."""
    weights = torch.load(theirs, weights_only=True)
    torch.save(weights | {f"module.{WEIGHT}": 2 * weights[WEIGHT]}, tmp_path / "both.pth")
    with pytest.raises(SystemExit, match=r"module\.features\.0\.weight is \(64, 3, 3, 3\), it must be nothing$"):
        run(tmp_path / "both.pth", larger, tmp_path, settings=LARGE)


def test_weights_that_are_not_finite_are_named(theirs: Path, larger: Path, tmp_path: Path) -> None:
    weights = torch.load(theirs, weights_only=True)
    weights["features.0.bias"][3] = torch.nan
    torch.save(weights, tmp_path / "broken.pth")
    with pytest.raises(SystemExit, match=r"broken\.pth: features\.0\.bias is not finite everywhere"):
        run(tmp_path / "broken.pth", larger, tmp_path, settings=LARGE)
    assert not (tmp_path / "net0.json").exists()


def test_complex_weights_of_a_complex_net_are_exact() -> None:
    weight = torch.tensor([1 + 2j, 3 - 1j])
    given.require_exact(weight, weight.dtype, "weights: a.pth: 0.weight")
    with pytest.raises(InputError, match=r"^weights: a\.pth: 0\.weight is complex64, it must be float32"):
        given.require_exact(weight, torch.float32, "weights: a.pth: 0.weight")
