"""Nets that cannot work are refused in one line, before images are read; healthy ones are described."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY
from workflow.convergent.nets import probe
from workflow.convergent.nets.model import build

FAULTY = "tests.nets.faulty"
OWN = {"crop": 16, "pixels": {"mean": [0.5, 0.5, 0.5], "deviation": [0.2, 0.2, 0.2]}}
GREY = TINY | {"pixels": {"mean": [0.5], "deviation": [0.25]}}


def alexnet(**changed: object) -> dict:
    return {"architecture": "alexnet", "settings": TINY, "seed": 0, **changed}


def own(function: str = "healthy", module: str = FAULTY, **changed: object) -> dict:
    """A net of a user's own whose layer ``first`` is the second module."""
    return {"architecture": f"{module}:{function}", "settings": OWN, "seed": 0, "layers": {"first": "1"}, **changed}


def run(folder: Path, entries: list[dict], layers: list[str], *more: str) -> dict:
    """What the command writes about nets."""
    nets = {f"net{k}": entry for k, entry in enumerate(entries)}
    file, sizes = folder / "probe.json", ["--size", "20", "--channels", "3", "--classes", "2"]
    pair = ["--pair", "net0", f"net{len(entries) - 1}"]
    probe.main([str(file), "--nets", json.dumps(nets), "--layers", *layers, *sizes, *pair, *more])
    return json.loads(file.read_text())["nets"]


def refused(folder: Path, entries: list[dict], layers: list[str], *more: str) -> str:
    """The one line with which the command stops; nothing is written."""
    with pytest.raises(SystemExit) as stopped:
        run(folder, entries, layers, *more)
    assert not (folder / "probe.json").exists()
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


def test_units_and_grids_of_every_net(tmp_path: Path) -> None:
    """The last layer has as many units as there are classes, which nobody knows yet."""
    entries = [alexnet(), own(layers={"conv1": "1", "fc8": "4"})]
    found = run(tmp_path, entries, ["conv1", "fc8"], "--resample", "area")
    assert found["net0"] == {"conv1": {"units": 6, "grid": [16, 16]}, "fc8": {"units": None, "grid": []}}
    assert found["net1"] == {"conv1": {"units": 6, "grid": [14, 14]}, "fc8": {"units": None, "grid": []}}


def weights_of(entry: dict, file: Path) -> dict[str, torch.Tensor]:
    """Weights for 7 classes, saved."""
    weights = build(entry["architecture"], OWN, 3, 7, 20, seed=3).body.state_dict()
    torch.save(weights, file)
    return weights


def test_a_net_with_weights_has_the_classes_of_its_file(tmp_path: Path) -> None:
    weights_of(own(), tmp_path / "seven.pth")
    entry = own(layers={"last": "4"}, weights=str(tmp_path / "seven.pth"))
    assert run(tmp_path, [entry], ["last"])["net0"]["last"]["units"] == 7


FAULTS = {
    "misspelt": "AttributeError: module 'torch.nn' has no attribute 'Lineal' (tests/nets/faulty.py:",
    "deep": "ValueError: no such width (tests/nets/faulty.py:",
    "silent": "NotImplementedError (tests/nets/faulty.py:",
    "wrong_keyword": "unexpected keyword argument 'kernel' (tests/nets/faulty.py:",
    "wide": "missing a required argument: 'width'; it is passed num_classes by name",
    "positional": "'num_classes' parameter is positional only, but was passed as a keyword",
    "a_module": "is a Sequential, it must be a function that returns a torch module",
    "a_number": "is a int, it must be a function that returns a torch module",
    "no_such": "module tests.nets.faulty has no no_such",
    "no_net": "returns a function, it must be a torch module",
    "other_input": "cannot take crops of 16x16x3: RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    "Indexed": "cannot take crops of 16x16x3: IndexError: too many indices for tensor of dimension 4 (tests/nets/",
    "pictures": "puts out (3, 6, 14, 14) for 3 images, it must be logits (images, classes)",
    "transposed": "puts out (2, 3) for 3 images, it must be logits (images, classes)",
    "two_heads": "returns a tuple in training, not logits",
    "frozen": "has no weights to train",
    "overwritten": "cannot be trained: RuntimeError: one of the variables needed for gradient computation",
    "infinite": "layers: 1 of net0 returns what is not finite for a smooth image or one of noise",
    "infinite_logits": "layers: net0 returns what is not finite for a smooth image or one of noise",
    "windows": "layers: 1 of net0 returns (588, 6) for 3 images; allowed are",
    "one_for_all": "puts out (1, 2) for 3 images, it must be logits",
    "twice": "layers: 1 of net0 is called 2 times in a forward pass",
    "dropout": "layers: 1 of net0 puts out other values for an image the second time",
    "noisy": "layers: 1 of net0 puts out other values for an image the second time",
    "normalised_by_the_batch": "layers: 1 of net0 puts out other values for an image that is alone in its batch",
    "always_training": "layers: 1 of net0 puts out other values for an image that is alone in its batch",
    "centred_logits": "layers: net0 puts out other values for an image that is alone in its batch",
    "counting": "faulty:counting changes its buffer 1.passes where it is not trained",
    "quarters": "layers: 1 of net0 returns (12, 6, 7, 7) for 3 images; allowed are",
    "growing": "layers: 1 of net0 returns (3, 14, 14, 14), and (1, 46, 46, 46) for larger crops: no axis stays",
    "tokens": "layers: 1 of net0 returns (3, 196, 6) for 3 images; if these are (images, tokens, units), give the "
    "layer as {module: 1, tokens: true}",
}


@pytest.mark.parametrize("function", FAULTS)
def test_a_function_that_makes_no_net_is_refused_with_its_place(tmp_path: Path, function: str) -> None:
    line = refused(tmp_path, [own(function)], ["first"])
    assert FAULTS[function] in line
    assert line.startswith((f"architecture: {FAULTY}:{function}", "layers: ", "net0: "))


def test_the_line_of_the_users_own_code_is_named(tmp_path: Path) -> None:
    """Not the line of torch's code that raises, nor that of the call."""
    file = Path(__file__).with_name("faulty.py")
    line = file.read_text().splitlines().index('        raise ValueError("no\\nsuch width")') + 1
    assert refused(tmp_path, [own("deep")], ["first"]).endswith(f"(tests/nets/faulty.py:{line})")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(2)", "SystemExit: 2 (user_0.py:1)"),
        ("def make(:", "SyntaxError: invalid syntax (user_1.py, line 1) (user_1.py:1)"),
        (
            "import os\nimport no_such",
            "ModuleNotFoundError: No module named 'no_such' (user_2.py:2)",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero (user_3.py:1)"),
        ("make = no_such", "NameError: name 'no_such' is not defined (user_4.py:1)"),
    ],
)
def test_a_module_that_does_not_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    name = said[said.index("user_") :][:6]
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert refused(tmp_path, [own("make", name)], ["first"]).startswith(f"architecture: {name}:make: {said}")


@pytest.mark.parametrize(
    ("entry", "more", "said"),
    [
        (
            {"layers": {"conv1": "conv6x"}},
            [],
            "layers: a net of architecture alexnet has no module 'conv6x'; conv1, relu1",
        ),
        ({"settings": TINY | {"crop": 21}}, [], "architecture.crop: 21, but stored images are 20 pixels wide"),
        ({"settings": TINY | {"crop": 4}}, [], "architecture.conv: nothing is left of a crop of 4 pixels"),
        ({"settings": GREY}, [], "pixels.mean: [0.5], but images have 3 channels"),
        (
            {},
            ["--clusters", "14", "--clustered", "conv2", "conv1"],
            "clustering.clusters: 14 is not possible; in conv2 net0 and net1 have 14 units together, allowed is up to",
        ),
        (
            {},
            ["--unit", "6", "--mapped", "conv1"],
            "figures.unit: 6 is not possible; median, or a unit from 0 to 5",
        ),
        ({"weights": "gone.pth"}, [], "weights: gone.pth: no such file"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(tmp_path: Path, entry: dict, more: list[str], said: str) -> None:
    assert refused(tmp_path, [alexnet(), alexnet(**entry)], ["conv1", "conv2"], *more).startswith(said)


def test_numbers_that_fit_are_taken(tmp_path: Path) -> None:
    """Of the last layer nothing is known, because it has as many units as there are classes."""
    more = ["--clusters", "11", "--clustered", "conv1", "fc8", "--unit", "5", "--mapped", "conv1"]
    assert set(run(tmp_path, [alexnet(), alexnet()], ["conv1", "fc8"], *more)) == {"net0", "net1"}


def test_other_grids_are_refused_unless_they_are_resampled(tmp_path: Path) -> None:
    entries = [alexnet(layers={"first": "relu1"}), own()]
    assert refused(tmp_path, entries, ["first"]) == (
        "layers: first has positions 16x16 in net0, 14x14 in net1; set resample: area, or name other layers"
    )
    assert run(tmp_path, entries, ["first"], "--resample", "area")["net1"]["first"]["grid"] == [14, 14]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[:5], r" do not fit .*: 0\.weight is \(5, 3, 3, 3\)"),
        (lambda x: x + 1j, r": 0\.weight is complex64"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change, said: str) -> None:
    file = tmp_path / "other.pth"
    weights = weights_of(own(), file)
    torch.save(weights | {"0.weight": change(weights["0.weight"])}, file)
    with pytest.raises(SystemExit, match=rf"^weights: .*other\.pth{said}"):
        run(tmp_path, [own(weights=str(file))], ["first"])


def test_a_net_that_works_in_place_on_its_input_sees_the_images_each_time(tmp_path: Path) -> None:
    assert run(tmp_path, [own("scaled")], ["first"])["net0"]["first"] == {"units": 3, "grid": [16, 16]}


ODD = "tests.nets.odd"


def odd(function: str, layer: object = "1", **changed: object) -> dict:
    """A net that is odd and works, whose layer ``first`` is this module."""
    return own(function, ODD, layers={"first": layer}, **changed)


@pytest.mark.parametrize(
    ("function", "layer", "units", "grid"),
    [
        ("LeNet", "conv", 6, [14, 14]),
        ("wide", "2", 96, [16, 16]),
        ("wide", "3", 96, [16, 16]),
        ("cubic", "2", 16, [16, 16]),
        ("Transformer", {"module": "block", "tokens": True, "class_tokens": 1}, 8, [4, 4]),
        ("Transformer", {"module": "block", "tokens": True}, 8, [1, 17]),
        ("lazy", "1", 6, [14, 14]),
        ("chosen", "1", 6, [14, 14]),
        ("per_picture", "2", 6, [14, 14]),
    ],
)
def test_nets_as_authors_write_them_work(
    tmp_path: Path, capfd: pytest.CaptureFixture, function: str, layer: object, units: int, grid: list[int]
) -> None:
    """Nothing is said of them: they can be trained, and their units have deconvolutions."""
    assert run(tmp_path, [odd(function, layer)], ["first"])["net0"]["first"] == {"units": units, "grid": grid}
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("function", "layer"), [("detached", "1"), ("Inference", "inner.1")])
def test_layers_that_no_gradient_leaves_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture, function: str, layer: str
) -> None:
    entry = odd(function, layer, weights=str(tmp_path / "own.pth"))
    weights_of(entry, tmp_path / "own.pth")
    assert run(tmp_path, [entry], ["first"])["net0"]["first"]["grid"] == [14, 14]
    said = "net0: no gradient leads from first to the pixels; its units get patches without deconvolution\n"
    assert capfd.readouterr().out == said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (odd("Transformer", {"module": "block", "tokens": True, "class_tokens": 17}), "block of net0 has 17 tokens; "),
        (
            odd("chosen", {"module": "1", "tokens": True}),
            "1 of net0 returns (3, 6, 14, 14) for 3 images; tokens: ",
        ),
        (
            odd("chosen", {"module": "7"}),
            "a net of architecture tests.nets.odd:chosen has no module '7'; 0, 1, ",
        ),
    ],
)
def test_entries_of_layers_that_do_not_fit_are_refused(tmp_path: Path, entry: dict, said: str) -> None:
    assert refused(tmp_path, [entry], ["first"]).startswith(f"layers: {said}")


def test_a_net_with_fewer_outputs_than_classes_is_refused(tmp_path: Path) -> None:
    said = "architecture: tests.nets.odd:chosen has 2 outputs for 3 classes of images"
    assert refused(tmp_path, [odd("chosen")], ["first"], "--classes", "3") == said
