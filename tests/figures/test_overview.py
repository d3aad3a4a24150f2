"""The page that shows a run at a glance: its numbers are those of the stores, and what a run lacks is left out."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests import ROOT
from tests.evidence.stores import evidence
from tests.figures import stores
from workflow.convergent import store, tables
from workflow.convergent.commands import InputError
from workflow.convergent.evidence import summary
from workflow.convergent.figures import overview, pictures

pytestmark = pytest.mark.slow

PAPER = ROOT / "workflow/resources/paper_matching.csv"
NETS = ("net0", "net1", "net2")


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    """Evidence of two layers, of which the second has no nets before training."""
    return [evidence(tmp_path, "conv1"), evidence(tmp_path, "conv2", untrained=False)]


@pytest.fixture
def columns(tmp_path: Path, layers: list[Path]) -> dict[str, object]:
    """Filters of three nets, and the tables of matches of the first with the others."""
    digests = {net: store.attributes(layers[0])["nets"][net] for net in NETS}
    arrays = {f"filters/{net}": np.ones((3, 3, 3, 3)) for net in NETS}
    store.save(tmp_path / "filters.zarr/zarr.json", arrays, kind="filters", nets=digests, units_of="conv1")
    rows = (0, 1, 0.9, 1, 0.9), (1, 0, 0.4, 0, 0.4), (2, 2, 0.6, 2, 0.6)
    matches = [
        stores.matches(tmp_path / f"{net}.csv", *rows, pair=f"net0-{net}", nets={n: digests[n] for n in ("net0", net)})
        for net in NETS[1:]
    ]
    return {"filters": tmp_path / "filters.zarr/zarr.json", "matches": matches}


@pytest.fixture
def stitched(tmp_path: Path) -> Path:
    """Nets of two photographs of 10 images, stitched in both directions with all weights and with few."""
    hits = {"relu": [[8, 6], [1, 1]], "untrained": [[3, 1], [0, 0]]}
    arrays = {f"{kind}/{pair}": np.array(of) for kind, of in hits.items() for pair in ("net0-net1", "net1-net0")}
    arrays |= {f"alpha/{pair}": np.array([0, 0.24]) for pair in ("net0-net1", "net1-net0")}
    arrays |= {"images": np.array([10, 10]), "whole/net0": np.array([9, 7]), "whole/net1": np.array([9, 9])}
    about = {
        "layer": "conv1",
        "whole": ["net0-net1"],
        "pairs": ["net0-net1", "net1-net0"],
        "photographs": 2,
        "of_images": 20,
    }
    path = tmp_path / "functional.zarr/zarr.json"
    store.save(path, arrays, kind="stitched nets", nets=stores.digests("net0", "net1"), **about)
    return path


@pytest.fixture
def scorecard(tmp_path: Path) -> Path:
    """Four of the claims that the page may show, and one that it does not."""
    claims = ["similarity falls", "more units are mutually best", *list(overview.CLAIMS)[:3]]
    cells = {"layer": "conv1", "against": "something", "paper": 0.2, "low": 0.4, "high": 0.6, "verdict": "holds"}
    rows = [{"claim": claim, "ours": 0.1 * k, **cells} for k, claim in enumerate(claims)]
    rows[0] |= {"verdict": "fails"}
    tables.write(tmp_path / "scorecard.csv", rows, kind="scorecard")
    return tmp_path / "scorecard.csv"


def texts(figure: Figure) -> list[str]:
    """All texts of a page that a reader sees."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def headings(figure: Figure) -> list[str]:
    return [part._suptitle.get_text().split(":")[0].split(",")[0] for part in figure.subfigs if part._suptitle]


def test_the_page_says_what_the_stores_say(layers: list[Path], stitched: Path, scorecard: Path) -> None:
    figure = overview.overview(evidence=layers, paper=PAPER, stitched=[stitched], scorecard=scorecard)
    assert headings(figure) == ["How alike nets are", "What holds"]
    shown, of = "\n".join(texts(figure)).replace(overview.NO_BREAK, " "), summary.read(layers[0])
    assert overview.QUESTION in shown
    interval = of["trained"].interval("greedy_crossfit")
    before = of["untrained"].interval("greedy_crossfit").estimate
    said = f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}] in conv1 ({before:.2f} before training)"
    assert said in shown.replace("\n", " ")
    assert f"conv1 {interval.estimate:.2f} [{interval.low:.2f}" in figure.get_label()
    similar, stitches = figure.subfigs[1].axes
    values = [list(line.get_ydata()) for line in similar.get_lines()]
    trained = [summary.read(path)["trained"].interval("greedy_crossfit").estimate for path in layers]
    assert any(np.allclose(each, trained) for each in values if len(each) == 2)
    assert [0.70299, 0.55595] in values  # the paper's
    heights = [list(line.get_ydata()) for line in stitches.get_lines()]
    assert [0.7] in heights  # stitched with all weights
    assert [0.2] in heights  # the source as before training
    assert pytest.approx([0.85, 0.85]) in heights  # the nets themselves
    plt.close("all")


def test_the_page_says_on_how_many_images_stitched_nets_were_evaluated(stitched: Path) -> None:
    for of_images, said in ((20, ""), (50_000, "\non 20 of 50,000 images")):
        stores.resave(stitched, of_images=of_images)
        (axes,) = overview.overview(stitched=[stitched]).subfigs[1].axes
        assert axes.get_title() == f"accuracy of nets stitched together in a layer{said}"
    plt.close("all")


def test_three_claims_are_shown_in_their_order_and_all_are_counted(scorecard: Path) -> None:
    figure = overview.overview(scorecard=scorecard)
    (axes,) = figure.subfigs[1].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(overview.CLAIMS.values())[:3]
    numbers = sorted((round(t.get_position()[1] + 0.22), t.get_text()) for t in axes.texts if t.get_fontsize() == 9)
    assert numbers == [(0, "0.20"), (1, "0.30"), (2, "0.40")]
    assert "of all 5 claims 4 hold, 1 fail, 0 cannot be told" in figure.subfigs[1]._suptitle.get_text()
    plt.close("all")


def test_filters_and_a_good_and_a_bad_pair_are_shown(columns: dict, tmp_path: Path) -> None:
    pair = stores.matches(tmp_path / "pair.csv", (0, 1, 0.9, "", ""), (1, 0, 0.1, "", ""), (2, 2, 0.4, "", ""))
    paths = [stores.patches(tmp_path, net, 3) for net in ("net1", "net0")]
    figure = overview.overview(**columns, pair=pair, patches=paths)
    assert headings(figure) == ["conv1", "conv1"]
    assert [t.get_text() for t in figure.subfigs[1].axes[0].texts][3:] == ["0.90", "0.60", "0.40"]
    best, worst = figure.subfigs[2].subfigs
    assert [best._suptitle.get_text(), worst._suptitle.get_text()] == [
        "best of 3, correlation 0.90",
        "worst of 3, correlation 0.10",
    ]
    titles = [[ax.get_title(loc="left") for ax in half.axes if ax.get_title(loc="left")] for half in (best, worst)]
    assert titles == [["Net1, unit 0", "Net2, unit 1"], ["Net1, unit 1", "Net2, unit 0"]]
    stored = store.load(paths[0], "conv1/patch")["conv1/patch"][1]
    np.testing.assert_allclose(best.axes[2].images[0].get_array(), pictures.tiles(stored))
    plt.close("all")


def test_what_a_run_does_not_have_is_left_out(columns: dict, stitched: Path, scorecard: Path, tmp_path: Path) -> None:
    stores.resave(columns["filters"], units_of="")
    arrays = {name: array for name, array in store.load(stitched).items() if name.startswith(("images", "alpha"))}
    kept = ("kind", "layer", "whole", "pairs", "nets", "photographs", "of_images")
    store.save(
        stitched, arrays, **{key: store.attributes(stitched)[key] for key in kept}
    )  # the classes of the nets are not those of the images
    rows = [row for row in tables.read(scorecard) if row["claim"] == "similarity falls"]
    stores.rewrite(scorecard, rows)
    figure = overview.overview(**columns, stitched=[stitched], scorecard=scorecard)
    assert headings(figure) == []
    assert texts(figure) == [overview.QUESTION, overview.NOTHING]
    plt.close("all")


def test_files_of_different_runs_are_refused(layers: list[Path], columns: dict, stitched: Path) -> None:
    stores.resave(stitched, nets={"net1": "of another run"})
    with pytest.raises(InputError, match="weights of net1 differ"):
        overview.overview(evidence=layers, paper=PAPER, stitched=[stitched])
    stores.resave(columns["filters"], nets=dict.fromkeys(NETS, "of another run"))
    with pytest.raises(InputError, match="weights of net0 differ"):
        overview.overview(**columns)


def test_letters_are_at_least_eleven_pixels_high_where_the_page_is_1600_wide(
    layers: list[Path], columns: dict, stitched: Path, scorecard: Path
) -> None:
    given = {"evidence": layers, "paper": PAPER, "stitched": [stitched], "scorecard": scorecard}
    figure = overview.overview(**given, **columns)
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]
    assert min(sizes) / 72 / figure.get_figwidth() * 1600 >= 11
    plt.close("all")
