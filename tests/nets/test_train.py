"""Training: weights depend on seed and settings, not on when the training was killed."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests import ROOT
from tests.conftest import CLASSES, random_images
from tests.in_memory import split_of
from tests.nets.settings import SETTINGS, settings_with
from tests.presets import preset
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.nets import checkpoints, crops, device, train
from workflow.convergent.nets.model import load
from workflow.convergent.nets.optimisation import new_optimiser
from workflow.convergent.nets.snapshots import Snapshots
from workflow.convergent.tracked import installed

CPU = torch.device("cpu")


def arguments(
    folder: Path,
    images: dict[str, Path],
    architecture: dict,
    seed: int = 0,
    more: Sequence[str] = (),
    **changed: object,
) -> list[str]:
    """Command line of one training whose files are all in a folder."""
    folder.mkdir(exist_ok=True)
    files = [str(folder / f"net0.{kind}") for kind in ("json", "pt", "csv")]
    settings = json.dumps(SETTINGS | changed)
    options = ["--name", "net0", "--seed", str(seed), "--checkpoints", str(folder / "checkpoints")]
    sections = ["--settings", json.dumps(architecture), "--training", settings, "--code", train.__file__]
    return [str(images["train"]), str(images["val"]), *files, *options, *sections, *more]


def digest(folder: Path) -> str:
    """Digest of the weights; loading them verifies it."""
    load(folder / "net0.json")
    return json.loads((folder / "net0.json").read_text())["sha256"]


def trained(*args: object, **changed: object) -> str:
    train.main(arguments(*args, **changed))
    return digest(args[0])


@pytest.mark.parametrize("bias_decay", [0, 1])
@pytest.mark.parametrize("bias_rate", [1, 2])
@pytest.mark.parametrize("clip", [0, 0.1])
def test_one_step_is_that_of_gradient_descent(
    architecture: dict, clip: float, bias_rate: float, bias_decay: int
) -> None:
    """Without momentum and dropout a step is -rate * (gradient + decay * weight); biases have their own."""
    changed = {"momentum": 0, "nesterov": False, "weight_decay": 0.1, "warmup": 0, "batch": 8}
    settings = settings_with(**changed, clip=clip, bias_rate=bias_rate, bias_decay=bias_decay)
    net = preset(architecture | {"dropout": 0.0}, 3, 4, 20, seed=0)
    made = random_images(8, seed=0)
    net.standardise_with(made["images"])
    batch = next(crops.batches(split_of(made["images"], made["labels"]), crops.draws(8, 8, 4, seed=0), 16, CPU))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    torch.nn.functional.cross_entropy(net(net.crop(batch[0], *batch[2:])), batch[1]).backward()
    slopes = {name: p.grad.clone() for name, p in net.named_parameters()}
    job = train.Job("net0", 0, settings)
    norm = torch.cat([slope.flatten() for slope in slopes.values()]).norm()
    factor = min(1.0, clip / norm.item()) if clip else 1.0
    assert (factor < 1) == bool(clip)
    train.train_epoch(net, new_optimiser(net, settings), iter([batch]), job, 0, range(1), Snapshots([]))
    for name, p in net.named_parameters():
        rate, decay = (0.02 * bias_rate, 0.1 * bias_decay) if name.endswith("bias") else (0.02, 0.1)
        expected = before[name] - rate * (factor * slopes[name] + decay * before[name])
        torch.testing.assert_close(p.detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 7, 30, 64])
def test_evaluation_does_not_depend_on_the_batch(nets: dict[str, Path], images: dict[str, Path], batch: int) -> None:
    net, found = load(nets["net0"]), store.load(images["val"])
    with torch.no_grad():
        logits = net(net.centre_crop(torch.from_numpy(found["images"]))).double()
    chance = logits.softmax(1).numpy()[np.arange(30), found["labels"]]
    top1 = (logits.argmax(1).numpy() == found["labels"]).mean()
    rows = store.StoredArray(images["val"], "images")
    assert train.evaluate(net, rows, found["labels"], batch) == pytest.approx((-np.log(chance).mean(), top1), rel=1e-5)


@pytest.mark.slow
def test_seed_and_settings_decide_the_weights(tmp_path: Path, images: dict[str, Path], architecture: dict) -> None:
    """The state of torch's global generator and the folder change nothing."""
    first = trained(tmp_path / "first", images, architecture)
    torch.rand(5)
    assert trained(tmp_path / "again", images, architecture) == first
    others = [{"seed": 1}, {"learning_rate": 0.021}, {"steps": 19}, {"clip": 0.1}, {"bias_rate": 2}]
    digests = {trained(tmp_path / str(k), images, architecture, **other) for k, other in enumerate(others)}
    assert len(digests - {first}) == len(others)


def test_dropout_differs_between_steps_and_epochs(tmp_path: Path, images: dict[str, Path], architecture: dict) -> None:
    """The first dropout gets ones, so that its output is the mask: one in each of four steps of two epochs."""
    splits = {
        s: crops.Split(store.StoredArray(path, "images"), store.load(path, "labels")["labels"])
        for s, path in images.items()
    }
    net, masks = preset(architecture, 3, 4, 20, seed=0), set()
    drop = net.body.get_submodule("drop6")
    drop.register_forward_pre_hook(lambda module, inputs: torch.ones_like(inputs[0]))
    drop.register_forward_hook(lambda module, inputs, output: masks.add(output.numpy().tobytes()))
    train.train(net, splits, train.Job("net0", 0, settings_with(steps=8)), tmp_path / "state.pt", "key")
    evaluated = {np.ones((30, 12), np.float32).tobytes()}  # all validation images at once
    assert masks > evaluated
    assert len(masks - evaluated) == 8


@pytest.mark.slow
def test_history_and_description(tmp_path: Path, images: dict[str, Path], architecture: dict) -> None:
    trained(tmp_path, images, architecture, steps=18)
    with (tmp_path / "net0.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [(row["epoch"], row["step"]) for row in history] == [
        ("1", "4"),
        ("2", "8"),
        ("3", "12"),
        ("4", "16"),
        ("5", "18"),
    ]
    about = json.loads((tmp_path / "net0.json").read_text())
    assert about["images"] == store.attributes(images["train"])["sha256"]
    assert (about["classes"], about["size"], about["settings"]) == (4, 20, architecture)
    val, net = store.load(images["val"]), load(tmp_path / "net0.json")
    loss, top1 = train.evaluate(net, store.StoredArray(images["val"], "images"), val["labels"], 16)
    assert about["top1"] == pytest.approx(float(history[-1]["val_top1"])) == pytest.approx(top1)
    assert float(history[-1]["val_loss"]) == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_it_learns(tmp_path: Path, images: dict[str, Path], architecture: dict) -> None:
    """Brightness gives the class away, so top-1 accuracy is far above a chance of a quarter."""
    trained(tmp_path, images, architecture | {"dropout": 0.0}, steps=120)
    assert json.loads((tmp_path / "net0.json").read_text())["top1"] > 0.7


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, images: dict[str, Path], architecture: dict, capfd: pytest.CaptureFixture[str]
) -> None:
    killed = arguments(tmp_path / "killed", images, architecture, steps=240)
    command = [sys.executable, "-m", "workflow.convergent.nets.train", *killed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert any("epoch 1/60" in line for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "net0.json").exists()
    train.main(killed)
    resumed = capfd.readouterr().out.splitlines()
    assert resumed[0].startswith("net0: resumed after epoch ")
    assert 1 <= 60 - len(resumed[1:]) < 60
    whole = trained(tmp_path / "whole", images, architecture, steps=240)
    assert digest(tmp_path / "killed") == whole
    assert (tmp_path / "killed/net0.csv").read_bytes() == (tmp_path / "whole/net0.csv").read_bytes()


@pytest.mark.slow
def test_a_finished_training_leaves_no_checkpoint_and_trains_again_to_the_same_files(
    tmp_path: Path, images: dict[str, Path], architecture: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"net0.{kind}" for kind in ("json", "pt", "csv")]
    trained(tmp_path, images, architecture)
    before, told = [file.read_bytes() for file in files], capsys.readouterr().out
    assert not (tmp_path / "checkpoints/state.pt").exists()
    trained(tmp_path, images, architecture)
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"net0: epoch {epoch}/5" for epoch in range(1, 6)
    ]
    assert "epoch 1/5" in told
    assert [file.read_bytes() for file in files] == before


@pytest.mark.slow
def test_a_checkpoint_stays_until_its_net_is_saved(
    tmp_path: Path, images: dict[str, Path], architecture: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.model, "save", stop)
        with pytest.raises(SystemExit, match="130"):
            trained(tmp_path, images, architecture)
    capsys.readouterr()
    trained(tmp_path, images, architecture)
    assert capsys.readouterr().out == "net0: resumed after epoch 5\n"


def stop(*args: object, **named: object) -> None:
    raise KeyboardInterrupt


def interrupted(epochs: int, *args: object, **changed: object) -> None:
    """A training that is stopped once so many epochs are in its checkpoint."""
    save = checkpoints.save

    def last_save(path: Path, state: dict) -> None:
        save(path, state)
        if len(state["history"]) == epochs:
            stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", last_save)
        with pytest.raises(SystemExit, match="130"):
            trained(*args, **changed)


ANEW = "net0: the checkpoint is of other settings, images or code; training starts anew"


@pytest.mark.slow
@pytest.mark.parametrize("edited", [0, 1])
def test_an_edit_of_any_code_file_trains_anew(
    tmp_path: Path, images: dict[str, Path], architecture: dict, capsys: pytest.CaptureFixture[str], edited: int
) -> None:
    """The workflow passes the files that its rule tracks; the command need not have imported them."""
    files = [tmp_path / "first.py", tmp_path / "second.py"]
    for file in files:
        file.write_text("rate = 1\n")
    code = ["--code", *map(str, files)]
    interrupted(2, tmp_path, images, architecture, more=code)
    capsys.readouterr()
    trained(tmp_path, images, architecture, more=code)
    first, *epochs = capsys.readouterr().out.splitlines()
    assert (first, len(epochs)) == ("net0: resumed after epoch 2", 3)
    interrupted(2, tmp_path, images, architecture, more=code)
    files[edited].write_text("rate = 2\n")
    capsys.readouterr()
    trained(tmp_path, images, architecture, more=code)
    first, *epochs = capsys.readouterr().out.splitlines()
    assert (first, len(epochs)) == (ANEW, 5)


@pytest.mark.parametrize("edited", ["imported", "loaded", "no longer"])
def test_an_edit_of_a_module_that_a_users_net_imports_trains_anew(
    tmp_path: Path, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch, edited: str
) -> None:
    """``loaded`` is imported by a name that no reader of the code can know."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("users", "users_imported", "users_loaded"):
        sys.modules.pop(name, None)
        Path(f"{name}.py").write_text("width = 8\n")
    Path("users.py").write_text(
        "import importlib\n\nfrom users_imported import width\n\nimportlib.import_module('_'.join(['users', 'loaded']))"
        f"\n\nfrom {__name__} import Normalised as make\n"
    )
    net = train.model.build("users:make", OWN, 3, 4, 20, seed=0)
    given = [net, settings_with(), 0, ["train", "val"], "cpu", []]
    key = checkpoints.training_key(*given)
    assert key == checkpoints.training_key(*given)
    Path(f"users_{edited}.py").write_text("width = 9\n")
    assert (checkpoints.training_key(*given) != key) == (edited != "no longer")


def test_the_key_is_of_all_that_weights_depend_on(
    tmp_path: Path, architecture: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code.py"
    code.write_text("")
    net, other = (preset(architecture | {"dropout": share}, 3, 4, 20, seed=0) for share in (0.5, 0.4))
    given = [net, settings_with(), 0, ["train", "val"], "cpu", [code]]
    key = checkpoints.training_key(*given)
    assert key == checkpoints.training_key(*given)
    for place, value in enumerate([other, settings_with(clip=4), 1, ["train", "other"], "cuda", [code, code]]):
        assert checkpoints.training_key(*given[:place], value, *given[place + 1 :]) != key
    for changed in ("torch", "numpy", "numba"):
        with monkeypatch.context() as patch:
            patch.setattr(
                checkpoints, "installed", lambda name, changed=changed: None if name == changed else installed(name)
            )
            assert checkpoints.training_key(*given) != key


@pytest.mark.parametrize(
    ("change", "said"), [({"rate": 1}, "rate: there is no"), ({"decay": {}}, "decay.factor: it is")]
)
def test_settings_that_do_not_exist_are_refused_with_one_line(
    tmp_path: Path, images: dict[str, Path], architecture: dict, change: dict, said: str
) -> None:
    with pytest.raises(SystemExit, match=rf"^training\.{said}") as stopped:
        trained(tmp_path, images, architecture, **change)
    assert "\n" not in str(stopped.value)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["settings", "seed", "architecture", "images"])
def test_a_checkpoint_of_other_settings_is_not_gone_on_from(
    tmp_path: Path, images: dict[str, Path], architecture: dict, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    other: list = [images, architecture, 0]
    changed = {"learning_rate": 0.01} if what == "settings" else {}
    if what == "seed":
        other[2] = 1
    if what == "architecture":
        other[1] = architecture | {"dropout": 0.4}
    if what == "images":
        other[0] = images | {"train": images["val"]}
    interrupted(3, tmp_path / "a", images, architecture)
    capsys.readouterr()
    found = trained(tmp_path / "a", *other, **changed)
    assert ANEW in capsys.readouterr().out
    assert found == trained(tmp_path / "b", *other, **changed)


@pytest.mark.slow
def test_other_validation_images_are_evaluated_anew(
    tmp_path: Path, images: dict[str, Path], architecture: dict
) -> None:
    for folder, val in (("a", "val"), ("a", "train"), ("b", "train")):
        trained(tmp_path / folder, images | {"val": images[val]}, architecture)
    assert (tmp_path / "a/net0.csv").read_bytes() == (tmp_path / "b/net0.csv").read_bytes()


def test_a_loss_that_is_not_finite_stops_with_net_epoch_and_step(
    tmp_path: Path, images: dict[str, Path], architecture: dict
) -> None:
    with pytest.raises(
        SystemExit, match=r"^net0: loss is (nan|inf) in epoch [12] at step \d; .*training\.learning_rate.*$"
    ):
        trained(tmp_path, images, architecture, learning_rate=1e6, clip=0, warmup=0)


@pytest.mark.parametrize(("wrong", "step"), [(0, 41), (3, 44), (7, 48)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_loss_that_is_not_finite_is_named(wrong: int, step: int, value: float) -> None:
    losses = torch.ones(8)
    losses[wrong:] = value
    with pytest.raises(InputError, match=rf"net3: loss is {value} in epoch 5 at step {step};"):
        train.require_finite(losses, "net3", epoch=4, first=40)
    train.require_finite(losses[:wrong], "net3", epoch=4, first=40)


def test_weights_that_the_last_step_ruined_are_refused(
    tmp_path: Path, images: dict[str, Path], architecture: dict
) -> None:
    with pytest.raises(SystemExit, match=r"^net0: validation loss is nan in epoch 1 at step 1; lower training\."):
        trained(tmp_path, images, architecture, learning_rate=1e30, clip=0, warmup=0, steps=1)
    assert not (tmp_path / "checkpoints/state.pt").exists()


@pytest.mark.parametrize(
    ("shape", "classes", "what"),
    [
        ((4, 26, 26, 3), CLASSES, r"image sizes differ: train: \(20, 20, 3\), val: \(26, 26, 3\)"),
        ((4, 20, 20, 1), CLASSES, r"image sizes differ: train: \(20, 20, 3\), val: \(20, 20, 1\)"),
        ((4, 20, 20, 3), 5, r"classes differ: train: \['class 0'.*, val: \['class 0'.*'class 4'\]"),
    ],
)
def test_validation_images_of_another_kind_are_refused(
    tmp_path: Path, images: dict[str, Path], architecture: dict, shape: tuple, classes: int, what: str
) -> None:
    path = tmp_path / "other.zarr" / "zarr.json"
    other = {"images": np.ones(shape, np.uint8), "labels": np.arange(4, dtype=np.int32)}
    store.save(path, other, kind="images", classes=[f"class {i}" for i in range(classes)])
    with pytest.raises(SystemExit, match=what):
        trained(tmp_path / "a", images | {"val": path}, architecture)


def test_a_batch_larger_than_the_images_is_refused(tmp_path: Path, images: dict[str, Path], architecture: dict) -> None:
    with pytest.raises(SystemExit, match=r"training\.batch: 65 images, but there are only 64 to train on"):
        trained(tmp_path, images, architecture, batch=65)


def test_a_crop_larger_than_the_images_is_refused(tmp_path: Path, images: dict[str, Path], architecture: dict) -> None:
    with pytest.raises(SystemExit, match=r"architecture\.crop: 21, but stored images are 20 pixels wide"):
        trained(tmp_path, images, architecture | {"crop": 21})


class Synchronisations(TorchDispatchMode):
    """Counts operations that wait for the device: a value is read by Python, or a size depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
        return function(*args, **(kwargs or {}))


def synchronisations(architecture: dict, steps: int) -> int:
    """Number of waits for the device in an epoch of so many steps."""
    made = random_images(steps * 4, seed=0)
    net = preset(architecture, 3, 4, 20, seed=0)
    loader = crops.batches(split_of(made["images"], made["labels"]), crops.draws(steps * 4, 4, 4, seed=0), 16, CPU)
    optimiser = new_optimiser(net, settings_with())
    with Synchronisations() as counted:
        train.train_epoch(
            net, optimiser, loader, train.Job("net0", 0, settings_with(batch=4)), 0, range(steps), Snapshots([])
        )
    return counted.count


@pytest.mark.slow
def test_no_step_waits_for_the_device(architecture: dict) -> None:
    """Only looks at the loss wait for it, every 50 steps and at the end."""
    few, more = synchronisations(architecture, 3), synchronisations(architecture, 30)
    assert few == more > 0
    assert synchronisations(architecture, train.CHECK_EVERY + 1) > more


OWN = {"crop": 16, "pixels": {"mean": "channel", "scale": "unit"}}


@pytest.mark.slow
def test_another_architecture_is_trained_and_resumed(
    tmp_path: Path, images: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint holds its batch statistics."""
    named = ["--architecture", f"{__name__}:Normalised"]
    whole = trained(tmp_path / "whole", images, OWN, more=named, steps=12)
    interrupted(2, tmp_path / "parts", images, OWN, more=named, steps=12)
    capsys.readouterr()
    assert trained(tmp_path / "parts", images, OWN, more=named, steps=12) == whole
    first, *epochs = capsys.readouterr().out.splitlines()
    assert (first, len(epochs)) == ("net0: resumed after epoch 2", 1)
    assert "body.1.running_mean" in load(tmp_path / "parts/net0.json").state_dict()
    assert trained(tmp_path / "other", images, OWN, more=named, steps=12, seed=1) != whole


def test_a_net_with_fewer_outputs_than_classes_is_refused(tmp_path: Path, images: dict[str, Path]) -> None:
    with pytest.raises(
        SystemExit, match=rf"^architecture: {__name__}:one_output has 1 outputs for {CLASSES} classes of"
    ):
        trained(tmp_path, images, OWN, more=["--architecture", f"{__name__}:one_output"])


def one_output() -> torch.nn.Module:
    return Normalised(1)


@pytest.mark.slow
def test_an_architecture_without_logits_in_training_is_refused(tmp_path: Path, images: dict[str, Path]) -> None:
    with pytest.raises(SystemExit, match=rf"^net0: {__name__}:TwoHeads returns a tuple in training, not logits$"):
        trained(tmp_path, images, OWN, more=["--architecture", f"{__name__}:TwoHeads"])


class Normalised(torch.nn.Sequential):
    def __init__(self, num_classes: int) -> None:
        parts = torch.nn.Conv2d(3, 8, 3, 2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(inplace=True)
        super().__init__(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, num_classes))


class TwoHeads(torch.nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3, num_classes)

    def forward(self, x: torch.Tensor):
        logits = self.head(x.mean((2, 3)))
        return (logits, logits) if self.training else logits


@pytest.mark.gpu
def test_on_cuda_training_goes_on_from_a_checkpoint_with_the_same_weights(
    tmp_path: Path, images: dict[str, Path], architecture: dict
) -> None:
    whole = trained(tmp_path / "whole", images, architecture, steps=20)
    interrupted(2, tmp_path / "parts", images, architecture, steps=20)
    assert trained(tmp_path / "parts", images, architecture, steps=20) == whole


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_on_cuda_steps_compute_in_bfloat16_and_never_wait(architecture: dict) -> None:
    place, made = device.pick(), random_images(80, seed=0)
    net = preset(architecture, 3, 4, 20, seed=0).to(place)
    net.standardise_with(made["images"])
    kinds = set()
    net.body.get_submodule("conv2").register_forward_hook(lambda m, i, output: kinds.add(output.dtype))
    split, job = split_of(made["images"], made["labels"]), train.Job("net0", 0, settings_with(batch=8))
    loader = list(crops.batches(split, crops.draws(80, 8, 4, seed=0), 16, place))
    optimiser = new_optimiser(net, settings_with())
    train.train_epoch(net, optimiser, iter(loader[:2]), job, 0, range(2), Snapshots([]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "require_finite", lambda *args: torch.cuda.set_sync_debug_mode("default"))
        torch.cuda.set_sync_debug_mode("error")
        train.train_epoch(net, optimiser, iter(loader[2:]), job, 0, range(8), Snapshots([]))
    assert kinds == {torch.bfloat16}
    assert net.body.get_submodule("conv2").weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_evaluation_with_logits_that_are_not_finite_has_no_loss(
    nets: dict[str, Path], images: dict[str, Path], value: float
) -> None:
    """Minus infinity for a class that no image has would leave loss and accuracy as they are."""
    net, rows = load(nets["net0"]), store.StoredArray(images["val"], "images")
    with torch.no_grad():
        net.body.get_submodule("fc8").bias[3] = value
    assert np.isnan(train.evaluate(net, rows, np.zeros(30, np.int32), 7)[0])
