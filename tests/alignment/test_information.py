"""Mutual information: closed forms, bounds, invariances, and agreement with scikit-learn."""

from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from tests.alignment.planted import bins_of, rectified
from workflow.convergent import store
from workflow.convergent.alignment import histograms, information
from workflow.convergent.alignment.counters import BitPlanes
from workflow.convergent.alignment.histograms import Chunk
from workflow.convergent.alignment.sampling import bin_edges, deal_folds
from workflow.convergent.nets import activations
from workflow.convergent.nets.model import load, save

BINS = 10
EMPTY_BINS = [1, 3, 8]  # different positive values


def measured(
    a: np.ndarray, b: np.ndarray, bins: int = BINS, sample: int | None = None, folds: int = 2
) -> tuple[np.ndarray, np.ndarray, information.Information]:
    """Information of all units of one array with all of another, bins from the first rows. -> corrected, plug-in"""
    values = {"net0": a.astype(np.float32), "net1": b.astype(np.float32)}
    edges = {net: bin_edges(x[:sample], bins) for net, x in values.items()}
    chunks = [
        Chunk(k, len(rows), {net: BitPlanes.planes(torch.from_numpy(x[rows]), edges[net]) for net, x in values.items()})
        for k, rows in enumerate(np.array_split(np.arange(len(a)), folds))
    ]
    found = information.pairwise_information(lambda: chunks, edges, [("net0", "net1")], BitPlanes(), folds)
    return found.corrected["net0", "net1"], found.plug_in["net0", "net1"], found


@pytest.mark.parametrize("different", EMPTY_BINS)
def test_fewer_positive_values_than_bins(different: int) -> None:
    x = np.zeros((400, 1))
    x[:200, 0] = 1 + np.arange(200) % different
    corrected, plug_in, _ = measured(x, x)
    shares = np.array([0.5] + [np.mean(x == 1 + k) for k in range(different)])
    assert plug_in[0, 0] == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-12)
    assert corrected[0, 0] == pytest.approx(plug_in[0, 0] + different / 800, rel=1e-12)


def test_agreement_with_scikit_learn() -> None:
    shared = rectified(700, 3, 0)
    a, b = shared + rectified(700, 3, 1), shared @ rectified(3, 4, 2)
    _, plug_in, _ = measured(a, b)
    one, two = (bins_of(x, bin_edges(x, BINS)) for x in (a, b))
    expected = [[mutual_info_score(one[:, i], two[:, j]) for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(plug_in, expected, rtol=1e-10)


def test_independent_units_have_none_within_the_bound_of_the_bias() -> None:
    """As counted it is (bins - 1)^2 / 2N on average; corrected it is 0 within its spread, chi-square's / 2N."""
    samples, units = 4_000, 30
    corrected, plug_in, _ = measured(rectified(samples, units, 0), rectified(samples, units, 1))
    bias = (BINS - 1) ** 2 / (2 * samples)
    spread = np.sqrt(2 * (BINS - 1) ** 2) / (2 * samples)
    assert plug_in.mean() == pytest.approx(bias, rel=0.05)
    assert abs(corrected.mean()) < 0.05 * bias
    assert np.abs(corrected).max() < 6 * spread


def test_a_unit_tells_of_itself_its_equally_corrected_entropy() -> None:
    x = rectified(300, 4, 0)
    corrected, plug_in, _ = measured(x, x)
    counts = np.stack([np.bincount(c, minlength=BINS) for c in bins_of(x, bin_edges(x, BINS)).T])
    p = counts / 300
    entropy = -(p * np.log(p)).sum(axis=1)
    np.testing.assert_allclose(np.diagonal(plug_in), entropy, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(corrected), entropy + ((counts > 0).sum(axis=1) - 1) / 600, rtol=1e-12)


def test_monotone_transformations_that_keep_zero_change_nothing() -> None:
    """Also for values that the bins were not fixed from."""
    shared = rectified(2_000, 3, 0)
    a, b = shared, shared[:, ::-1] + rectified(2_000, 3, 1)
    before, _, _ = measured(a, b, sample=150)
    after, _, _ = measured(4 * a, np.where(b > 1, 2 * b - 1, b), sample=150)
    assert before.max() > 0.2
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("correlation", "bins"), [(r, n) for r in (0.3, 0.6, 0.9) for n in (10, 20)])
def test_gaussian_pairs_against_the_closed_form(correlation: float, bins: int) -> None:
    """Binning loses information: never more than the closed form, and less is lost with more bins."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200_000, 1))
    y = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(size=x.shape)
    exact = -0.5 * np.log(1 - correlation**2)
    found = measured(x, y, bins=bins)[0][0, 0]
    assert exact * (0.85 if bins == 10 else 0.93) < found < exact + 0.002


def test_plug_in_is_bounded_by_both_entropies_and_symmetric() -> None:
    shared = rectified(500, 6, 0)
    a, b = shared[:, :4] + rectified(500, 4, 1), shared[:, 2:]
    found, mirrored = measured(a, b)[1], measured(b, a)[1]
    np.testing.assert_allclose(found, mirrored.T, atol=1e-12)
    own = [np.diagonal(measured(x, x)[1]) for x in (a, b)]
    assert (found <= np.minimum(own[0][:, None], own[1][None]) + 1e-12).all()
    assert (found >= -1e-12).all()


@pytest.mark.parametrize("tile_bytes", [2**31, 1])
def test_without_each_fold_it_is_that_of_the_other_samples_in_equal_bins(
    monkeypatch: pytest.MonkeyPatch, tile_bytes: int
) -> None:
    """A unit that varies in one fold alone has no information without it."""
    monkeypatch.setattr(histograms, "TILE_BYTES", tile_bytes)
    shared = rectified(500, 4, 0)
    a, b = shared + rectified(500, 4, 1), shared[:, ::-1].copy()
    a[:, 2] = np.where(np.arange(500) < 100, a[:, 2], 0.5)  # in the first fold alone
    b[:, 3] = 1.0
    found = measured(a, b, folds=5)[2].without["net0", "net1"]
    edges = [bin_edges(x, BINS) for x in (a, b)]
    for k in range(5):
        rest = np.arange(500) // 100 != k
        one, two = (bins_of(x[rest], own) for x, own in zip((a, b), edges, strict=True))
        cells = np.array([[np.histogram2d(x, y, np.arange(BINS + 1))[0] for y in two.T[:3]] for x in one.T])
        np.testing.assert_allclose(found[k][:, :3], information.mutual_information(cells)[1], atol=1e-12)
    assert np.abs(found[0, 2, :3]).max() < 1e-12
    assert found[1:, 2, 1].min() > 0.05
    assert np.isnan(found[..., 3]).all()


def test_a_dead_unit_is_listed_and_has_no_information() -> None:
    a, b = rectified(200, 3, 0), rectified(200, 4, 1)
    a[:, 1], b[:, 3] = 0, 2.5
    corrected, plug_in, found = measured(a, b)
    assert {net: units.tolist() for net, units in found.dead.items()} == {"net0": [1], "net1": [3]}
    for x in (corrected, plug_in):
        assert np.isnan(x[1]).all()
        assert np.isnan(x[:, 3]).all()
        assert np.isfinite(np.delete(np.delete(x, 1, 0), 3, 1)).all()


def run(images: dict[str, Path], nets: dict[str, Path], folder: Path, *more: str) -> Path:
    """The stage on the tiny nets; the store of their pair."""
    given = [str(images["val"]), str(folder), "--nets", *map(str, nets.values()), *more, "--threads", "1"]
    information.main(given)
    return folder / "net0-net1.zarr/zarr.json"


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["conv2", "fc8"])
def test_the_stage_agrees_with_all_activations_at_once(
    images: dict[str, Path], nets: dict[str, Path], tmp_path: Path, layer: str
) -> None:
    """Bins from one position in two of ten images, so that they depend on the draw; counts from everything."""
    path = run(images, nets, tmp_path, "--layer", layer, "--batch", "7", "--edge-images", "20", "--blocks", "3")
    found, about = store.load(path), store.attributes(path)
    rows, loaded = store.StoredArray(images["val"], "images"), {name: load(file) for name, file in nets.items()}
    # batch by batch as the stage does: other batches give other last bits, which move values across edges
    folds = deal_folds(store.load(images["val"], "group")["group"], 3, 0)
    recorder = activations.Recorder(loaded, [layer])
    parts = [layers[layer] for fold in folds for layers in recorder.stream(rows, fold, 7)]
    values = {net: np.concatenate([part[net].flatten(0, 1) for part in parts]) for net in nets}
    bins = {net: bins_of(x, found[f"edges/{net}"]) for net, x in values.items()}
    assert about["samples"] == len(bins["net0"])
    assert found["without"].shape == (3, *found["plug_in"].shape)
    dead = {net: [unit for unit, column in enumerate(x.T) if len(np.unique(column)) == 1] for net, x in bins.items()}
    assert about["dead"] == dead
    for i, one in enumerate(bins["net0"].T):
        for j, two in enumerate(bins["net1"].T):
            expected = np.nan if i in dead["net0"] or j in dead["net1"] else mutual_info_score(one, two)
            np.testing.assert_allclose(found["plug_in"][i, j], expected, rtol=1e-10, atol=1e-14)
    assert np.nanmax(found["mutual_information"]) > 0


@pytest.mark.slow
def test_positions_are_drawn_by_seed(images: dict[str, Path], nets: dict[str, Path], tmp_path: Path) -> None:
    args = ["--layer", "conv1", "--positions", "5"]
    found = [run(images, nets, tmp_path / str(k), *args, "--seed", seed) for k, seed in enumerate("001")]
    digests = [store.attributes(path)["sha256"] for path in found]
    assert store.attributes(found[0])["samples"] == 30 * 5
    assert digests[0] == digests[1] != digests[2]


def test_the_counts_take_the_threads_that_they_are_given(
    images: dict[str, Path], nets: dict[str, Path], tmp_path: Path
) -> None:
    """Cores that a job does not have would be taken from other jobs of the machine."""
    before = numba.get_num_threads()
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    try:
        run(images, nets, tmp_path, "--layer", "fc7")
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["1", "7"])
def test_as_many_positions_as_there_are_or_more_are_all(
    images: dict[str, Path], nets: dict[str, Path], tmp_path: Path, positions: str
) -> None:
    """A fully connected layer has one."""
    some = run(images, nets, tmp_path / "some", "--layer", "fc7", "--positions", positions)
    every = run(images, nets, tmp_path / "all", "--layer", "fc7")
    assert store.attributes(some)["sha256"] == store.attributes(every)["sha256"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--bins", "1"), "--bins: 1 is not possible; at least 2"),
        (("--blocks", "1"), "--blocks: 1 is not possible; at least 2"),
        (("--blocks", "16"), "moments.blocks, or stitching.blocks: 16, but the images come from 15 independent"),
        (("--positions", "0"), "--positions: 0 is not possible; all, or a number from 1"),
        (("--layer", "conv9"), "architecture alexnet has no module"),
    ],
)
def test_bad_input_is_one_line(
    images: dict[str, Path], nets: dict[str, Path], tmp_path: Path, given: tuple[str, str], said: str
) -> None:
    with pytest.raises(SystemExit, match=said) as stopped:
        run(images, nets, tmp_path, *(() if "--layer" in given else ("--layer", "conv1")), *given)
    assert "\n" not in str(stopped.value)


def test_activations_that_are_not_finite_are_refused(
    images: dict[str, Path], nets: dict[str, Path], tmp_path: Path
) -> None:
    broken = load(nets["net1"])
    with torch.no_grad():
        broken.get_submodule("body.conv1").bias[2] = torch.nan
    path = tmp_path / "net1.json"
    save(broken, path.with_suffix(".pt"), path)
    with pytest.raises(SystemExit, match="net1: activations of conv1 are not all finite"):
        run(images, {"net0": nets["net0"], "net1": path}, tmp_path / "found", "--layer", "conv1")


def equal_mass_bins(x: np.ndarray, bins: int, rectified: bool) -> np.ndarray:
    """Bin of each value of a unit by its rank: among the positive values if rectified, where zeros are bin 0. (n,)"""
    values, found = np.sort(x[x > 0] if rectified else x), np.zeros(len(x), int)
    positive = bins - 1 if rectified else bins
    for k in range(len(x)):
        if x[k] > 0 or not rectified:
            below = np.searchsorted(values, x[k])  # values below it
            found[k] = bins - positive + below * positive // len(values)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "rectified"), [("fc8", False), ("fc6", True), ("conv5", True)])
def test_the_stage_is_information_of_ranks(
    images: dict[str, Path], nets: dict[str, Path], tmp_path: Path, layer: str, rectified: bool
) -> None:
    """Bins, counts and estimate by definition, where the bins are fixed from all samples."""
    found = store.load(run(images, nets, tmp_path, "--layer", layer, "--bins", "5"))["plug_in"]
    rows, loaded = store.StoredArray(images["val"], "images"), {name: load(file) for name, file in nets.items()}
    (whole,) = activations.Recorder(loaded, [layer]).stream(rows, np.arange(30), 30)
    a, b = ([equal_mass_bins(unit, 5, rectified) for unit in x.flatten(0, 1).numpy().T] for x in whole[layer].values())
    expected = np.array([[mutual_info_score(i, j) for j in b] for i in a])
    dead = np.outer([len(set(i)) > 1 for i in a], [len(set(j)) > 1 for j in b]) == 0
    assert (np.isnan(found) == dead).all()
    assert (~dead).sum() > 10
    np.testing.assert_allclose(found[~dead], expected[~dead], atol=1e-12)


@pytest.mark.parametrize("rectify", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_information_does_not_depend_on_the_scale_of_units(rectify: bool, seed: int) -> None:
    """Powers of two from 2^-100 to 2^100, each unit its own, 2^-70 among them; and any scale of the last unit."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(900, 4))
    b = a[:, ::-1] + rng.normal(size=(900, 4))
    if rectify:
        a, b = a.clip(0), b.clip(0)
    a, b = a.astype(np.float32), b.astype(np.float32)
    power_a, power_b = rng.integers(-100, 100, 4), rng.integers(-100, 100, 4)
    power_a[0] = -70
    scaled = np.ldexp(b, power_b)
    scaled[:, 3] = b[:, 3].astype(float) * 10 ** rng.uniform(-30, 30)
    before, after = measured(a, b, sample=300)[:2], measured(np.ldexp(a, power_a), scaled, sample=300)[:2]
    assert before[0].max() > 0.1
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("mean", [2.5e-20, 2.5, 2.5e20, -2.5])
def test_a_unit_that_varies_by_rounding_alone_is_dead(mean: float) -> None:
    """Also where the sample that fixes the bins has none of it; a unit that varies more has information."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 2)), rng.normal(size=(400, 3))
    a[:, 1] = mean * (1 + 2**-23 * rng.integers(-2, 3, 400))
    b[:, 0] = np.where(np.arange(400) < 390, mean, mean * (1 - 2**-22))
    b[:, 1] = mean * (1 + 1e-5 * rng.normal(size=400))
    corrected, _, found = measured(a, b, sample=200)
    assert {net: units.tolist() for net, units in found.dead.items()} == {"net0": [1], "net1": [0]}
    assert np.isfinite(corrected[0, 1:]).all()


@pytest.mark.parametrize("image", [0, 15, 29])
@pytest.mark.parametrize("edge_images", ["2", "2000"])
def test_one_image_that_is_not_finite_is_refused(
    images: dict[str, Path], nets: dict[str, Path], tmp_path: Path, image: int, edge_images: str
) -> None:
    """Whether or not it is among the images that fix the bins."""
    arrays = store.load(images["val"])
    arrays["images"][:] = 0
    arrays["images"][image] = 255
    store.save(tmp_path / "one.zarr/zarr.json", arrays, kind="images")
    broken = load(nets["net1"])
    broken.mean.zero_()
    with torch.no_grad():
        conv = broken.get_submodule("body.conv1")
        conv.weight[2], conv.bias[2] = 3e38, 0
    save(broken, tmp_path / "net1.pt", tmp_path / "net1.json")
    given = {"val": tmp_path / "one.zarr/zarr.json"}, {"net0": nets["net0"], "net1": tmp_path / "net1.json"}
    options = ("--layer", "conv1", "--edge-images", edge_images, "--batch", "4")
    with pytest.raises(SystemExit, match="net1: activations of conv1 are not all finite, unit 2 is infinite"):
        run(*given, tmp_path / "found", *options)
