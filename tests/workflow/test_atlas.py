"""What a reader does in the atlas, in a real browser, from the file system."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.atlas import browser, runs
from tests.atlas.reading import data_of
from workflow.convergent import store
from workflow.convergent.evidence import summary

pytestmark = pytest.mark.slow
MINUS = "\N{MINUS SIGN}"
VIEWS = {
    "first": "",
    "help": "",
    "layer": "conv1/net0",
    "unit": "conv1/net0/2",
    "dead unit": "conv1/net0/1",
    "unit without mappings": "fc6/My.net_1/2",
    "matrix": "conv1/net0/matrix",
}
PARTIAL = {
    "matching": ["matching"],
    "patches": ["patches"],
    "evidence": ["evidence"],
    "information": ["information"],
    "stitched": ["stitching", "patches"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three nets with all stages; the folder of its results."""
    return runs.make(tmp_path_factory.mktemp("results") / "toy")


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    (run / "figures").mkdir(exist_ok=True)
    Image.new("RGB", (40, 30), "white").save(run / "figures/fig1_correlation.png")
    return runs.atlas(run)


@pytest.fixture
def tab(chromium: Any, page: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A tab at an address, whose console must stay empty."""
    found = browser.open_page(chromium, page, getattr(request, "param", ""))
    yield found
    assert found.said == []
    found.context.close()


def at(address: str) -> pytest.MarkDecorator:
    """Tests begin at this address."""
    return pytest.mark.parametrize("tab", [address], indirect=True, ids=[address or "first"])


def click(tab: Any, where: str) -> None:
    tab.locator(where).first.click()
    browser.settle(tab)


def press(tab: Any, *keys: str) -> None:
    for key in keys:
        tab.keyboard.press(key)
        browser.settle(tab)


def address(tab: Any) -> str:
    return tab.url.partition("#")[2]


def heading(tab: Any) -> str:
    return tab.locator("h1").inner_text()


def units(tab: Any) -> list[int]:
    """Units of the tiles of a layer, in their order; also of those that the browser has not laid out."""
    return [int(text) for text in tab.locator("#grid .line b:first-child").all_text_contents()]


@at("fc6/net0/3")
def test_a_logit_has_the_name_of_its_class(tab: Any) -> None:
    """Only where a net has as many units as there are classes."""
    assert heading(tab) == "fc6, Net1, unit 3 kind & 3"
    assert tab.title().startswith("fc6, Net1, unit 3 kind & 3: ")
    click(tab, ".beside .tile")
    assert "kind" not in heading(tab)
    tab.locator("#up").click()
    browser.settle(tab)
    click(tab, ".switch a:has-text('Net1')")
    assert tab.locator("#grid a[aria-label^='Net1 unit 3 kind & 3']").count() == 1


@at("")
def test_from_layer_to_unit_to_partner_and_back(tab: Any, page: Path) -> None:
    assert heading(tab) == "Do different networks learn the same features?"
    click(tab, "#layers a[data-layer=conv1]")
    assert heading(tab).startswith("conv1: 7 units of Net1")
    click(tab, "#grid a[aria-label^='Net1 unit 2,']")
    assert heading(tab) == "conv1, Net1, unit 2"
    greedy = data_of(page, "conv1", "net0")["others"]["net1"]["greedy"][2]
    click(tab, ".beside .tile")
    assert heading(tab) == f"conv1, Net2, unit {greedy}"
    tab.go_back()
    browser.settle(tab)
    assert heading(tab) == "conv1, Net1, unit 2"
    tab.go_back()
    browser.settle(tab)
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Net1 unit 2,")


@at("conv1/net0/2")
def test_numbers_of_a_unit_are_the_stored_ones(tab: Any, run: Path) -> None:
    for other, card in zip(("net1", "My.net_1"), tab.locator(".beside").all(), strict=True):
        described = summary.read(run / "evidence/conv1.zarr/zarr.json")["trained"].described["net0", other]
        shown = dict(zip(card.locator("dt").all_inner_texts(), card.locator("dd").all_inner_texts(), strict=True))
        expected = {
            "similarity": described.similarity[2],
            "cross-fitted": described.crossfit[2],
            "on rotated axes": described.rotated_median[2],
            "influence": described.influence[2],
            "stable": described.stable[2],
            "R² of all units": described.r2[2],
        }
        assert {name: shown[name] for name in expected} == {
            name: f"{value:.3f}".replace("-", MINUS) for name, value in expected.items()
        }


@at("conv1/net0?to=My.net_1")
def test_units_are_sorted_by_the_stored_numbers(tab: Any, page: Path) -> None:
    chunk = data_of(page, "conv1", "net0")
    its = chunk["others"]["My.net_1"]
    columns = {
        "similarity": its["greedy_similarity"],
        "crossfit": its["crossfit"],
        "excess": its["excess"],
        "information": its["information"],
        "mean": chunk["mean"],
    }
    for name, column in columns.items():
        tab.select_option("select[name=sort]", name)
        known = [unit for unit in range(7) if column[unit] is not None]
        expected = sorted(known, key=lambda unit: (-column[unit], unit))
        assert units(tab)[: len(known)] == expected
        assert set(units(tab)) == set(range(7))
        assert f"sort={name}" in address(tab)
    tab.select_option("select[name=dir]", "up")
    assert units(tab)[: len(known)] == sorted(known, key=lambda unit: (columns["mean"][unit], unit))
    tab.select_option("select[name=sort]", "unit")
    assert units(tab) == list(range(7))


@at("conv1/net0?to=net1")
def test_filters_leave_the_units_that_they_name(tab: Any, page: Path) -> None:
    its = data_of(page, "conv1", "net0")["others"]["net1"]
    tab.check("input[value=dead]")
    assert units(tab) == [1]
    tab.uncheck("input[value=dead]")
    tab.check("input[value=apart]")
    apart = {
        unit for unit in range(7) if its["greedy"][unit] is not None and its["greedy"][unit] != its["assigned"][unit]
    }
    assert set(units(tab)) == apart
    tab.check("input[value=below]")
    below = {unit for unit in apart if its["crossfit"][unit] < its["rotated"][unit]}
    assert set(units(tab)) == below
    shown = address(tab)
    tab.reload()
    browser.settle(tab)
    assert address(tab) == shown
    assert set(units(tab)) == below


@pytest.mark.parametrize(
    ("tab", "said"),
    [
        ("conv1/My.net_1/3", "conv1, My.net_1, unit 3"),
        ("fc6/net1?to=My.net_1", "fc6: 5 units of Net2, each beside its most similar unit of My.net_1"),
        ("conv1/net1/matrix?to=net0&order=tree", "conv1: correlations of Net2 and Net1"),
        ("conv1", "conv1: 7 units of Net1, each beside its most similar unit of Net2"),
        ("conv1/net0/99", "Nothing here"),
        ("conv1/net7", "Nothing here"),
    ],
    indirect=["tab"],
)
def test_an_address_is_a_state(tab: Any, said: str) -> None:
    assert heading(tab) == said


def pointed(tab: Any, row: int, column: int, shape: tuple[int, int]) -> tuple[int, int, str]:
    """Units and number that are shown where the mouse points at a cell."""
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.move(
        box["x"] + (column + 0.5) / shape[1] * box["width"], box["y"] + (row + 0.5) / shape[0] * box["height"]
    )
    one, two, value = tab.locator(".cell b").all_inner_texts()
    return int(one), int(two), value


@at("conv1/net1/matrix?to=net0")
def test_the_matrix_answers_with_the_stored_number(tab: Any, run: Path) -> None:
    """Also where the pair is stored the other way round, in every order."""
    stored = store.load(run / "correlation/conv1/net0-net1.zarr/zarr.json")["correlation"].T
    assert pointed(tab, 3, 2, stored.shape)[:2] == (3, 2)
    for order in ("native", "assigned", "clusters", "tree"):
        tab.select_option("select[name=order]", order)
        seen = {}
        for row in range(5):
            for column in range(7):
                one, two, value = pointed(tab, row, column, stored.shape)
                number = stored[one, two]
                assert value == ("none, a unit is dead" if np.isnan(number) else f"{number:.3f}".replace("-", MINUS))
                seen[row, column] = one, two
        assert len(set(seen.values())) == 35
        if order == "assigned":
            diagonal = [stored[seen[k, k]] for k in range(4)]
            assert sum(diagonal) == pytest.approx(np.nansum(diagonal))
    press(tab, "Tab")
    tab.locator("#canvas").focus()
    press(tab, "ArrowUp", "Enter")
    assert heading(tab).startswith("conv1, Net2, unit")


@at("conv1/net0")
def test_keys_reach_everything(tab: Any) -> None:
    order = units(tab)
    press(tab, "ArrowRight", "ArrowRight", "Enter")
    assert heading(tab) == f"conv1, Net1, unit {order[1]}"
    press(tab, "Escape")
    assert heading(tab).startswith("conv1: 7 units")
    press(tab, "/")
    tab.keyboard.type("fc6 net2 3")
    press(tab, "Enter")
    assert heading(tab) == "fc6, Net2, unit 3"
    press(tab, "ArrowRight")
    assert heading(tab) == "fc6, Net2, unit 4"
    press(tab, "/")
    tab.locator("#wanted").fill("17")
    press(tab, "Enter")
    tab.wait_for_function("document.getElementById('said').textContent")
    assert tab.locator("#said").inner_text() == "No unit 17: fc6 of Net2 has 0 to 4."
    press(tab, "Escape")
    assert heading(tab) == "fc6, Net2, unit 4"
    press(tab, "?")
    assert tab.locator("dialog").is_visible()
    press(tab, "Escape")
    assert not tab.locator("dialog").is_visible()


@at("conv1/net0/2")
def test_a_switch_of_nets_keeps_the_place(tab: Any) -> None:
    click(tab, "#up")
    click(tab, "nav.switch[aria-label=beside] a:has-text('My.net_1')")
    assert heading(tab).endswith("unit of My.net_1")
    click(tab, "nav.switch[aria-label='Units of'] a:has-text('My.net_1')")
    assert heading(tab) == "conv1: 6 units of My.net_1, each beside its most similar unit of Net1"


@at("")
def test_every_figure_is_linked_and_seen(tab: Any, run: Path) -> None:
    tab.locator(".figure img").first.scroll_into_view_if_needed()
    tab.wait_for_function("document.querySelector('.figure img').naturalWidth === 40")
    link = tab.locator(".figure").first.evaluate("each => each.href")
    assert link == (run / "figures/fig1_correlation.png").resolve().as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_everyone_can_use_it(chromium: Any, page: Path, view: str, scheme: str) -> None:
    """Axe finds no fault, in either theme, and nothing is wider than a telephone."""
    from axe_playwright_python.sync_playwright import Axe

    tab = browser.open_page(chromium, page, VIEWS[view], scheme=scheme)
    if view == "help":
        press(tab, "?")
    faults = Axe().run(tab, options={"preload": False}).response["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []
    if view == "help":
        press(tab, "Escape")
    for width in (390, 820, 1440):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("document.documentElement.dataset.theme") == scheme
        brightness = np.bincount(np.asarray(browser.seen(tab)).sum(axis=2, dtype=int).ravel())
        assert np.count_nonzero(brightness) > 10
        assert (brightness.argmax() > 600) == (scheme == "light")
    assert tab.said == []
    tab.context.close()


@pytest.mark.parametrize("stages", PARTIAL.values(), ids=PARTIAL)
def test_a_partial_run_shows_what_there_is_and_says_what_is_not(chromium: Any, run: Path, stages: list[str]) -> None:
    page = runs.atlas(run, stages, ["conv1"])
    for view in ("", "conv1/net0", "conv1/net0/2", "conv1/net0/1", "conv1/net0/matrix"):
        tab = browser.open_page(chromium, page, view)
        text = tab.locator("main").text_content()
        assert not re.search(r"undefined|NaN|cannot be shown", text)
        assert "Not in this run: stage" in text or (view, stages) == ("conv1/net0/matrix", ["matching"])
        assert tab.said == []
        tab.context.close()
    runs.atlas(run)


@at("conv1/net0")
def test_the_theme_can_be_changed(tab: Any) -> None:
    before = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    click(tab, "#theme")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_the_picture_of_the_readme_is_small(chromium: Any, page: Path, tmp_path: Path) -> None:
    tab = browser.open_page(chromium, page, "conv1/net0")
    browser.take_picture(tab, tmp_path / "atlas.png")
    assert (tmp_path / "atlas.png").stat().st_size < 300_000
    with Image.open(tmp_path / "atlas.png") as picture:
        assert picture.size == (1280, 900)
