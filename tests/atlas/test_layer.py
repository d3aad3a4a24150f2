"""Data of a layer: every number is the stored one, and what a run has not is left out."""

import base64
from itertools import combinations_with_replacement, permutations
from pathlib import Path

import numpy as np
import pytest

from tests.atlas import runs
from tests.atlas.reading import data_of
from tests.figures.stores import resave
from workflow.convergent import store, tables
from workflow.convergent.atlas import layer, matrices
from workflow.convergent.evidence import summary
from workflow.convergent.evidence.units import VERDICTS
from workflow.convergent.moments.covariance import net_means
from workflow.convergent.stitching import mappings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    """The atlas of the run with all stages."""
    return runs.atlas(run)


def rounded(values: np.ndarray) -> list[float | None]:
    """Numbers to three decimals, None for NaN."""
    return [None if np.isnan(value) else float(f"{value:.3f}") for value in values]


@pytest.mark.parametrize("name", runs.LAYERS)
def test_numbers_of_units_are_those_of_the_evidence(run: Path, page: Path, name: str) -> None:
    path = run / f"evidence/{name}.zarr/zarr.json"
    columns = store.attributes(path)["columns"]
    for net, other in permutations(runs.NETS, 2):
        stored = store.load(path, f"trained/units/{net}-{other}")[f"trained/units/{net}-{other}"]
        of_unit = dict(zip(columns, stored, strict=True))
        shown = data_of(page, name, net)["others"][other]
        for column in ("crossfit", "q", "p", "influence", "stable", "r2"):
            assert shown[column] == rounded(of_unit[column])
        assert shown["rotated"] == rounded(of_unit["rotated_median"])
        assert shown["greedy_similarity"] == rounded(of_unit["similarity"])
        assert [-1 if unit is None else unit for unit in shown["greedy"]] == of_unit["partner"].tolist()
        excess = (of_unit["crossfit"] - of_unit["rotated_median"]) / (1 - of_unit["rotated_median"])
        assert shown["excess"] == rounded(excess)
        rows = summary.unit_rows(name, summary.read(path))
        mine = [row for row in rows if (row["state"], row["net"], row["other"]) == ("trained", net, other)]
        assert [VERDICTS[each] for each in shown["verdict"]] == [row["verdict"] for row in mine]


def test_means_of_pairs_have_their_intervals(run: Path, page: Path) -> None:
    evidence = summary.read(run / "evidence/conv1.zarr/zarr.json")
    shown = data_of(page, "conv1")["numbers"]
    assert list(shown) == list(evidence) == ["trained", "untrained"]
    for state, of in evidence.items():
        assert list(shown[state]) == ["net0-net1", "net0-My.net_1", "net1-My.net_1", "mean"]
        found = of.interval("greedy_crossfit")
        assert shown[state]["mean"]["greedy_crossfit"] == rounded(np.array(found[:3], float))
        assert shown[state]["net0-net1"]["rotated"] == rounded(of.value["greedy_crossfit_rotated"][:1])[0]


def test_mean_activations_and_information_are_the_stored_ones(run: Path, page: Path) -> None:
    means = net_means(run / "moments/val/conv1.zarr/zarr.json")
    for net in runs.NETS:
        assert data_of(page, "conv1", net)["mean"] == [float(f"{mean:.3g}") for mean in means[net]]
    informed = store.load(run / f"mutual_information/conv1/{runs.PAIR}.zarr/zarr.json")["mutual_information"]
    best = np.where(np.isnan(informed), -np.inf, informed)
    forward, back = (data_of(page, "conv1", net)["others"][to] for net, to in (("net0", "net1"), ("net1", "net0")))
    for shown, matrix in ((forward, best), (back, best.T)):
        live = np.isfinite(matrix.max(1))
        assert shown["information"] == rounded(np.where(live, matrix.max(1), np.nan))
        assert [unit for unit in shown["information_partner"] if unit is not None] == matrix.argmax(1)[live].tolist()


def test_sources_and_targets_are_the_largest_weights_of_the_mappings(run: Path, page: Path) -> None:
    for source, target in permutations(runs.NETS, 2):
        path = run / f"stitching/conv1/{source}-{target}.zarr/zarr.json"
        point = mappings.path_point(path, runs.ALPHA)
        weights = mappings.read_weights(path, point)
        sources = data_of(page, "conv1", target)["sources"][source]
        assert sources["r2"] == rounded(store.load(path, "r2")["r2"][point])
        for shown, matrix in ((sources, weights), (data_of(page, "conv1", source)["targets"][target], weights.T)):
            assert shown["count"] == (matrix != 0).sum(1).tolist()
            for row, top in zip(matrix, shown["top"], strict=True):
                units, values = top[::2], top[1::2]
                assert values == rounded(row[units])
                assert sorted(np.abs(row[row != 0]))[::-1][:8] == pytest.approx(np.abs(row[units]))


def test_cells_of_a_matrix_are_the_stored_correlations_in_every_order(run: Path, page: Path) -> None:
    assert data_of(page, "conv1")["matrices"] == ["-".join(p) for p in combinations_with_replacement(runs.NETS, 2)]
    for a, b in combinations_with_replacement(runs.NETS, 2):
        stored = store.load(run / f"correlation/conv1/{a}-{b}.zarr/zarr.json")["correlation"]
        data = data_of(page, "conv1", f"{a}-{b}")
        cells = np.frombuffer(base64.b64decode(data["cells"]), "<i2").reshape(data["shape"])
        assert [None if cell == -32768 else cell / 1000 for cell in cells.flat] == rounded(stored.ravel())
        if a != b:
            rows, columns = data["assigned"]
            partner = data_of(page, "conv1", a)["others"][b]["assigned"]
            matched = [(row, partner[row]) for row in rows if partner[row] is not None]
            assert list(zip(rows, columns, strict=False))[: len(matched)] == matched


def test_units_that_are_classes_have_their_names(page: Path) -> None:
    assert data_of(page, "fc6")["classes"] == runs.CLASSES
    assert data_of(page, "conv1")["classes"] is None


def test_a_matrix_of_too_many_cells_is_left_out(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "MOST_CELLS", 35)
    given = runs.arguments(run, "conv1", ["matching"])
    layer.main([str(tmp_path / "layers/conv1/_layer.js"), *given[1:]])
    small = ["net0-net1", "net1-net1", "net1-My.net_1"]
    assert data_of(tmp_path / "index.html", "conv1")["matrices"] == small


def test_clusters_are_those_of_their_tables(run: Path, page: Path) -> None:
    data = data_of(page, "conv1")
    its = data["clusters"][runs.PAIR]
    rows = tables.read(run / f"clustering/spectral/conv1/{runs.PAIR}.csv")
    for number, row in enumerate(rows):
        members = [
            f"{net}:{unit}"
            for net, labels in zip(runs.PAIR.split("-"), its["label"], strict=True)
            for unit, label in enumerate(labels)
            if label == number
        ]
        assert sorted(members) == sorted(row["members"].split())
        assert its["rows"][number] == rounded(np.array([row["density_inside"], row["density_outside"], row["span"]]))
    order = store.load(run / f"clustering/hierarchy/conv1/{runs.PAIR}.zarr/zarr.json", "order", "net", "unit")
    leaves = [[], []]
    for leaf in order["order"]:
        leaves[order["net"][leaf]].append(order["unit"][leaf])
    assert data["trees"][runs.PAIR]["order"] == leaves


@pytest.mark.parametrize(
    ("stages", "there"),
    [
        (["patches"], {"units"}),
        (["information"], {"units"}),
        (["matching"], {"units", "matrices", "group"}),
        (["evidence"], {"units", "numbers"}),
        (["stitching"], {"units", "alpha"}),
        (["clustering"], {"units", "clusters"}),
    ],
)
def test_what_a_run_has_not_is_left_out(run: Path, tmp_path: Path, stages: list[str], there: set[str]) -> None:
    given = runs.arguments(run, "conv1", stages)
    layer.main([str(tmp_path / "layers/conv1/_layer.js"), *given[1:]])
    data = data_of(tmp_path / "index.html", "conv1")
    data["group"] = data["best"]["group"]
    assert data["units"] == runs.UNITS
    assert {name for name in data if data[name]} - {"best", "pictures"} == there
    assert bool(data["pictures"]) == (stages == ["patches"])


def test_stores_that_do_not_fit_together_are_refused(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "conv1.zarr/zarr.json"
    store.save(other, dict(store.load(run / "moments/val/conv1.zarr/zarr.json")), kind="moments", layer="conv1")
    resave(other, nets=dict.fromkeys(runs.NETS, "other"), controls=[])
    given = [str(tmp_path / "_layer.js"), *runs.arguments(run, "conv1", ["matching"])[1:]]
    given[given.index("--moments") + 1] = str(other)
    with pytest.raises(SystemExit, match="weights of net0 differ"):
        layer.main(given)
    given = [str(tmp_path / "_layer.js"), *runs.arguments(run, "conv1", ["matching"])[1:]]
    given[given.index("--layer") + 1] = "conv2"
    with pytest.raises(SystemExit, match="layers differ"):
        layer.main(given)


def test_files_of_an_earlier_run_are_gone(run: Path, page: Path) -> None:
    left = page.parent / "layers/conv1/old.js"
    left.write_text("")
    layer.main(runs.arguments(run, "conv1"))
    assert not left.exists()
