"""Mappings from moments: their loss equals that on activations, and the stage stores them with what they depend on."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from workflow.convergent import store
from workflow.convergent.moments import covariance
from workflow.convergent.stitching import fit, lasso, mappings, standardised

WIDTHS = {"net0": 7, "net1": 5, "net0_untrained": 7}
DEAD = {"net0": 3, "net1": 1}
NETS = {net: f"digest of {net}" for net in WIDTHS}
DECAYS, ALPHAS = ["0", "1e-3", "1e-2"], ["1", "0.3", "0.05"]
Activations = dict[str, np.ndarray]


def activity(samples: int, seed: int, offset: float = 0.0) -> Activations:
    """Activations of nets with one dead unit each; those of net1 follow from net0's. net -> (samples, units)"""
    rng, planted = np.random.default_rng(seed), np.random.default_rng(0)
    x = rng.normal(size=(samples, 7)) @ planted.normal(size=(7, 7)) + offset
    y = x @ planted.normal(size=(7, 5)) + rng.normal(size=(samples, 5))
    x[:, DEAD["net0"]], y[:, DEAD["net1"]] = 0.25, 0.0
    return {"net0": x, "net1": y, "net0_untrained": rng.normal(size=(samples, 7))}


def in_blocks(nets: Activations, blocks: int = 4) -> dict[str, np.ndarray]:
    """Moments of activations in blocks of equal size, as the moments stage stores them."""
    moments: dict[str, list] = {}
    for index in np.array_split(np.arange(len(nets["net0"])), blocks):
        centred = {net: x[index] - x[index].mean(0) for net, x in nets.items()}
        moments.setdefault("count", []).append(len(index))
        for i, a in enumerate(nets):
            moments.setdefault(f"mean/{a}", []).append(nets[a][index].mean(0))
            for b in list(nets)[i:]:
                moments.setdefault(f"comoment/{a}-{b}", []).append(centred[a].T @ centred[b])
    return {name: np.array(parts) for name, parts in moments.items()}


DATA = {"train": activity(600, seed=1), "val": activity(200, seed=2, offset=0.3)}
TOTAL = {split: covariance.total(in_blocks(nets)) for split, nets in DATA.items()}


def units(split: str, net: str) -> np.ndarray:
    """Activations standardised with the training images' statistics; dead units are zero. (samples, units)"""
    train = DATA["train"][net]
    deviation = train.std(0)
    return (DATA[split][net] - train.mean(0)) / np.where(deviation > 1e-9, deviation, np.inf)


def pair(source: str, target: str, split: str) -> standardised.Standardised:
    """Standardised moments of a pair of nets on the images of a split."""
    scale = {net: standardised.scale_of(TOTAL["train"], net) for net in (source, target)}
    return standardised.standardised(TOTAL[split], source, target, scale)


PAIRS = [("net0", "net1"), ("net1", "net0"), ("net0_untrained", "net1"), ("net1", "net1")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_standardised_moments_are_those_of_standardised_activations(source: str, target: str, split: str) -> None:
    moments, x, y = pair(source, target, split), units(split, source), units(split, target)
    np.testing.assert_allclose(moments.gram, np.cov(x.T, ddof=0), atol=1e-12)
    np.testing.assert_allclose(moments.cross, (x - x.mean(0)).T @ y / len(x), atol=1e-12)
    np.testing.assert_allclose(moments.source_offset, x.mean(0), atol=1e-12)
    live = np.arange(WIDTHS[target]) != DEAD[target]
    np.testing.assert_allclose(moments.variance[live], y.var(0)[live], rtol=1e-12)
    np.testing.assert_allclose(moments.target_offset[live], y.mean(0)[live], atol=1e-12)
    assert np.isnan(moments.variance[~live]).all()


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_evaluation_from_moments_is_that_on_activations(source: str, target: str, split: str) -> None:
    """Also on validation images, whose means and variances are others."""
    weights = np.random.default_rng(0).normal(size=(3, WIDTHS[target], WIDTHS[source]))
    loss, r2 = standardised.evaluate(weights, pair(source, target, split))
    x, y = units(split, source), units(split, target)
    error = ((y - x @ np.swapaxes(weights, 1, 2)) ** 2).mean(1)  # (3, T)
    live = np.arange(WIDTHS[target]) != DEAD[target]
    np.testing.assert_allclose(loss[:, live], error[:, live] / 2, rtol=1e-10)
    np.testing.assert_allclose(r2[:, live], 1 - error[:, live] / y.var(0)[live], rtol=1e-10)
    assert np.isnan(loss[:, ~live]).all()
    assert np.isnan(r2[:, ~live]).all()


def test_predicting_zero_costs_half_on_the_images_of_the_scale() -> None:
    train, val = (pair("net0", "net1", split) for split in ("train", "val"))
    live = np.arange(5) != DEAD["net1"]
    np.testing.assert_allclose(standardised.zero_loss(train)[live], 0.5, rtol=1e-12)
    for moments in (train, val):
        loss, _ = standardised.evaluate(np.zeros((5, 7)), moments)
        np.testing.assert_array_equal(loss, standardised.zero_loss(moments))
    np.testing.assert_allclose(standardised.zero_loss(val)[live], (units("val", "net1") ** 2).mean(0)[live] / 2)


def test_a_target_that_does_not_vary_on_the_images_has_a_loss_but_no_r2() -> None:
    val = pair("net0", "net1", "val")
    val.variance[2] = 0.0
    loss, r2 = standardised.evaluate(np.zeros((5, 7)), val)
    assert loss[2] == val.target_offset[2] ** 2 / 2
    assert np.isnan(r2[2])


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_moments_without_a_block_are_those_of_the_other_blocks(source: str, target: str) -> None:
    """By activations, on the scale of the training images."""
    weights = np.random.default_rng(0).normal(size=(WIDTHS[target], WIDTHS[source]))
    scales = {net: standardised.scale_of(TOTAL["train"], net) for net in (source, target)}
    left = standardised.without_each_block(in_blocks(DATA["val"]), source, target, scales)
    live = np.arange(WIDTHS[target]) != DEAD[target]
    assert len(left) == 4
    for moments, block in zip(left, np.array_split(np.arange(len(DATA["val"]["net0"])), 4), strict=True):
        x, y = (np.delete(units("val", net), block, axis=0) for net in (source, target))
        r2 = 1 - ((y - x @ weights.T) ** 2).mean(0)[live] / y.var(0)[live]
        np.testing.assert_allclose(standardised.evaluate(weights, moments)[1][live], r2, rtol=1e-9)
        assert standardised.mean_r2(weights, moments) == pytest.approx(r2.mean(), rel=1e-9)


def about(split: str) -> dict[str, object]:
    """Attributes of the moments of a split."""
    known = {"kind": "moments", "layer": "conv1", "nets": NETS, "controls": ["net0_untrained"]}
    return known | {"split": split, "images": f"{split} images", "fine_blocks": 4, "blocks": 4, "seed": 3}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with merged stores of moments of one layer, of training and of validation images."""
    folder = tmp_path_factory.mktemp("moments")
    for split, total in TOTAL.items():
        arrays = {f"total/{name}": array for name, array in total.items()}
        store.save(folder / f"{split}.zarr/zarr.json", arrays | in_blocks(DATA[split]), **about(split))
    return folder


@pytest.fixture
def stores(tmp_path: Path, saved: Path) -> dict[str, Path]:
    """The stores, to be changed at will."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    return {split: tmp_path / f"{split}.zarr/zarr.json" for split in TOTAL}


def run(stores: dict[str, Path], out: Path, *more: str, pairs: tuple[str, ...] = ("net0-net1", "net1-net0")) -> None:
    arguments = [str(stores["train"]), str(stores["val"]), str(out), "--pairs", *pairs]
    fit.main([*arguments, "--decays", *DECAYS, "--alphas", *ALPHAS, *more])


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_stage_stores_the_path_with_its_losses(
    tmp_path: Path, stores: dict[str, Path], source: str, target: str
) -> None:
    run(stores, tmp_path, pairs=(f"{source}-{target}",))
    path = tmp_path / f"{source}-{target}.zarr" / "zarr.json"
    arrays = store.load(path)
    alpha = np.append(WIDTHS[target] * np.array(DECAYS, float), np.array(ALPHAS, float))
    np.testing.assert_allclose(arrays["alpha"], alpha)
    np.testing.assert_allclose(arrays["decay"], alpha / WIDTHS[target])
    train = pair(source, target, "train")
    weights, gap = lasso.lasso_path(train.gram, train.cross, alpha)
    np.testing.assert_array_equal(arrays["weights"], weights)
    live = np.arange(WIDTHS[target]) != DEAD[target]
    np.testing.assert_array_equal(arrays["gap"][:, live], gap[:, live])
    assert arrays["gap"][1:, live].max() <= 1e-6
    for split in ("train", "val"):
        loss, r2 = standardised.evaluate(weights, pair(source, target, split))
        np.testing.assert_allclose(arrays[f"{split}_loss"], loss, rtol=1e-10)
    np.testing.assert_allclose(arrays["r2"], r2, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(arrays["nonzero"], (weights != 0).sum(2))
    np.testing.assert_array_equal(arrays["above"], (np.abs(weights) > 0.01).sum(2))
    np.testing.assert_array_equal(arrays["zero_loss"], standardised.zero_loss(pair(source, target, "val")))
    assert np.isnan(arrays["val_loss"][:, ~live]).all()
    scales = {net: standardised.scale_of(TOTAL["train"], net) for net in (source, target)}
    left = standardised.without_each_block(in_blocks(DATA["val"]), source, target, scales)
    expected = [[standardised.mean_r2(mapping, moments) for moments in left] for mapping in weights]
    np.testing.assert_array_equal(arrays["r2_without"], expected)
    assert np.ptp(expected[4]) > 0  # a mapping onto itself has 1 where nothing is penalised


@pytest.mark.slow
def test_a_pair_of_few_penalties_has_none_and_the_last_alpha(tmp_path: Path, stores: dict[str, Path]) -> None:
    """Its mappings are those of the whole path."""
    pairs = ("net0-net1", "net0_untrained-net1")
    run(stores, tmp_path / "whole", pairs=pairs)
    run(stores, tmp_path / "few", "--few", "net0_untrained-net1", pairs=pairs)
    for pair, points in ((pairs[0], [0, 1, 2, 3, 4, 5]), (pairs[1], [0, 5])):
        whole, few = (store.load(tmp_path / kind / f"{pair}.zarr" / "zarr.json") for kind in ("whole", "few"))
        np.testing.assert_array_equal(few["alpha"], whole["alpha"][points])
        np.testing.assert_allclose(few["weights"], whole["weights"][points], atol=1e-5)
        np.testing.assert_allclose(few["r2_without"], whole["r2_without"][points], atol=1e-5)
    assert store.attributes(tmp_path / "few" / f"{pairs[1]}.zarr" / "zarr.json")["decays"] == [0]


def test_the_store_says_what_it_depends_on(tmp_path: Path, stores: dict[str, Path]) -> None:
    run(stores, tmp_path, "--seed", "4", pairs=("net0-net1",))
    attributes = store.attributes(tmp_path / "net0-net1.zarr" / "zarr.json")
    assert (attributes["layer"], attributes["source"], attributes["target"]) == ("conv1", "net0", "net1")
    assert attributes["nets"] == {net: NETS[net] for net in ("net0", "net1")}
    assert attributes["moments"] == {split: store.attributes(path)["sha256"] for split, path in stores.items()}
    assert attributes["images"] == {split: f"{split} images" for split in stores}
    assert attributes["dead"] == {net: [unit] for net, unit in DEAD.items()}
    assert attributes["units"] == {net: WIDTHS[net] for net in ("net0", "net1")}
    assert (attributes["decays"], attributes["tolerance"], attributes["seed"]) == ([0, 1e-3, 1e-2], 1e-6, 4)
    assert attributes["blocks"] == {"fine_blocks": 4, "blocks": 4, "seed": 3}  # of the validation images


@pytest.mark.slow
def test_a_stored_mapping_predicts_activations(tmp_path: Path, stores: dict[str, Path]) -> None:
    """The means and deviations in the store bring predictions back to the scale of the nets."""
    run(stores, tmp_path, pairs=("net0-net1",))
    arrays = store.load(tmp_path / "net0-net1.zarr" / "zarr.json")
    mean, deviation = ({net: arrays[f"{name}/{net}"] for net in ("net0", "net1")} for name in ("mean", "deviation"))
    assert (deviation["net0"][DEAD["net0"]], deviation["net1"][DEAD["net1"]]) == (0, 0)
    divisor = np.where(deviation["net0"] > 0, deviation["net0"], np.inf)
    x, y = (DATA["val"][net] for net in ("net0", "net1"))
    predicted = (x - mean["net0"]) / divisor @ arrays["weights"][0].T * deviation["net1"] + mean["net1"]
    live = np.arange(5) != DEAD["net1"]
    r2 = 1 - ((predicted - y) ** 2).mean(0)[live] / y.var(0)[live]
    np.testing.assert_allclose(r2, arrays["r2"][0, live], rtol=1e-9)
    assert r2.min() > 0.5


@pytest.mark.slow
def test_wide_layers_are_stored_sparse(
    tmp_path: Path, stores: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(stores, tmp_path / "dense")
    monkeypatch.setattr(fit, "WIDE_BYTES", 1)
    run(stores, tmp_path / "sparse")
    for name in ("net0-net1", "net1-net0"):
        dense, sparse = (tmp_path / kind / f"{name}.zarr" / "zarr.json" for kind in ("dense", "sparse"))
        arrays = store.load(sparse)
        assert "weights" not in arrays
        assert len(arrays["weights/3/data"]) == 0  # alpha is 1
        for point in range(6):
            np.testing.assert_array_equal(mappings.read_weights(sparse, point), mappings.read_weights(dense, point))
        for measure in ("val_loss", "nonzero", "gap"):
            np.testing.assert_array_equal(arrays[measure], store.load(dense, measure)[measure])


@pytest.mark.slow
def test_the_published_optimiser_is_replayed_where_asked_for(tmp_path: Path, stores: dict[str, Path]) -> None:
    run(stores, tmp_path, "--published", "net0-net1")
    assert not any(name.startswith("published") for name in store.load(tmp_path / "net1-net0.zarr" / "zarr.json"))
    arrays = store.load(tmp_path / "net0-net1.zarr" / "zarr.json")
    live = np.arange(5) != DEAD["net1"]
    loss, r2 = standardised.evaluate(arrays["published/weights"], pair("net0", "net1", "val"))
    np.testing.assert_allclose(arrays["published/val_loss"], loss, rtol=1e-10)
    np.testing.assert_allclose(arrays["published/r2"], r2, rtol=1e-9)
    assert arrays["published/history"].shape == (3, len(arrays["published/iteration"]))
    np.testing.assert_allclose(
        arrays["published/history"][:, -1], arrays["published/train_loss"][:, live].mean(1), rtol=1e-3
    )
    objective = {
        name: arrays[f"{name}train_loss"][:3, live].sum(1)
        + arrays["alpha"][:3] * np.abs(arrays[f"{name}weights"][:3]).sum((1, 2))
        for name in ("", "published/")
    }
    assert (objective[""] < objective["published/"]).all()


@pytest.mark.slow
def test_runs_and_threads_do_not_matter(tmp_path: Path, stores: dict[str, Path]) -> None:
    digests = set()
    for k, threads in enumerate("112"):
        run(stores, tmp_path / str(k), "--threads", threads, "--published", "net0-net1")
        digests.add(store.attributes(tmp_path / str(k) / "net0-net1.zarr" / "zarr.json")["sha256"])
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "net0-net7"], r"--pairs: net0-net7, allowed are <source>-<target> of net0, net1, net0_untrained"),
        (["--pairs", "net0"], "--pairs: net0, allowed are"),
        (["--published", "net1-net1"], "--published: net1-net1, allowed are the pairs net0-net1, net1-net0"),
        (["--few", "net1-net1"], "--few: net1-net1, allowed are the pairs net0-net1, net1-net0"),
        (["--alphas", "--few", "net0-net1"], "--few: net0-net1, but --alphas is empty; its last one is needed"),
        (["--decays", "0", "-0.5"], "--decays: -0.5, allowed are numbers from 0"),
        (["--alphas", "nan"], "--alphas: nan, allowed are numbers from 0"),
        (["--decays", "--alphas"], "--decays and --alphas: both are empty"),
        (["--decays", "--published", "net0-net1"], "--published: net0-net1, but --decays is empty"),
    ],
)
def test_bad_input_is_refused_with_one_line(
    tmp_path: Path, stores: dict[str, Path], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        run(stores, tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"layer": "conv2"}, r"layers differ: .*train\.zarr/zarr\.json: conv1, .*val\.zarr.*: conv2"),
        ({"nets": NETS | {"net1": "other"}}, "weights of net1 differ: .*digest of net1.*other"),
        ({"split": "train"}, r"val\.zarr/zarr\.json: moments of the train images; must be of val"),
        ({"kind": "moments of a shard"}, "a store of moments of a shard; must be one of moments"),
    ],
)
def test_moments_that_do_not_belong_together_are_refused(
    tmp_path: Path, stores: dict[str, Path], attributes: dict, message: str
) -> None:
    store.save(stores["val"], store.load(stores["val"]), **about("val") | attributes)
    with pytest.raises(SystemExit, match=message):
        run(stores, tmp_path / "out")


@pytest.mark.slow
def test_a_dead_layer_gives_empty_values_and_no_warning(tmp_path: Path, stores: dict[str, Path]) -> None:
    arrays = store.load(stores["train"])
    for name in arrays:
        if name.startswith(("total/comoment/net", "comoment/net", "mean/net")):
            arrays[name] = np.zeros_like(arrays[name])
    store.save(stores["train"], arrays, **about("train"))
    run(stores, tmp_path, "--published", "net0-net1", pairs=("net0-net1",))
    arrays = store.load(tmp_path / "net0-net1.zarr" / "zarr.json")
    assert not arrays["weights"].any()
    assert np.isnan(arrays["val_loss"]).all()


def test_a_target_that_varies_by_rounding_alone_on_the_validation_images_has_no_r2() -> None:
    x = {split: {net: units.copy() for net, units in nets.items()} for split, nets in DATA.items()}
    unit = (DEAD["net1"] + 1) % WIDTHS["net1"]
    noise = np.random.default_rng(0).normal(size=len(x["val"]["net1"]))
    x["val"]["net1"][:, unit] = 2 * (1 + 4e-8 * noise)
    totals = {split: covariance.total(in_blocks(nets)) for split, nets in x.items()}
    scales = {net: standardised.scale_of(totals["train"], net) for net in ("net0", "net1")}
    val = standardised.standardised(totals["val"], "net0", "net1", scales)
    loss, r2 = standardised.evaluate(np.zeros((WIDTHS["net1"], WIDTHS["net0"])), val)
    assert val.variance[unit] == 0
    assert np.isnan(r2[unit])
    assert loss[unit] == val.target_offset[unit] ** 2 / 2
    assert np.isfinite(np.delete(r2, [unit, DEAD["net1"]])).all()
