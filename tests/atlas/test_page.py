"""The page: what its first view shows, and that it stands alone."""

import json
import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.atlas import runs
from workflow.convergent import tables
from workflow.convergent.evidence import summary

pytestmark = pytest.mark.slow


def content(page: Path) -> dict:
    """Data of the first view."""
    return json.loads(re.search(r'<script type="application/json" id="run">(.*)</script>', page.read_text())[1])


def test_claims_and_numbers_are_those_of_the_tables(run: Path) -> None:
    found = content(runs.atlas(run))
    claims = {(claim["claim"], layer): cells for claim in found["claims"] for layer, cells in claim["layers"].items()}
    rows = tables.read(run / "tables/scorecard.csv")
    assert len(rows) == len(claims) > 5
    for row in rows:
        verdict, *numbers = claims[row["claim"], row["layer"]]
        assert verdict == row["verdict"]
        assert numbers == [round(row[name], 3) for name in ("ours", "low", "high")]
    interval = summary.read(run / "evidence/fc6.zarr/zarr.json")["trained"].interval("greedy_crossfit_excess")
    assert found["numbers"]["fc6"]["trained"]["greedy_crossfit_excess"] == [round(float(x), 3) for x in interval[:3]]
    assert [net["title"] for net in found["nets"]] == ["Net1", "Net2", "My.net_1"]


def test_figures_are_links_that_lead_to_them(run: Path) -> None:
    (run / "figures").mkdir(exist_ok=True)
    (run / "figures/fig1_correlation.png").touch()
    page = runs.atlas(run)
    (figure,) = content(page)["figures"]
    assert (page.parent / figure["file"]).resolve() == (run / "figures/fig1_correlation.png").resolve()


def test_a_run_without_evidence_has_a_page_too(run: Path) -> None:
    found = content(runs.atlas(run, ["matching"]))
    assert (found["claims"], found["numbers"], found["stages"]) == ([], {}, ["matching"])


def test_it_loads_nothing_from_elsewhere_and_nothing_that_a_folder_refuses(run: Path) -> None:
    """A page that is opened from a folder may fetch nothing and import no modules; the script files are all it has."""
    page = runs.atlas(run)
    texts = [page.read_text(), *(file.read_text() for file in page.parent.rglob("*.js") if file.stat().st_size < 1e6)]
    texts.append((ROOT / "workflow/resources/atlas/atlas.css").read_text())
    for text in texts:
        assert not re.search(r"https?://|//\w+\.\w+/|\bfetch\(|\bimport\(|type=\"module\"|XMLHttpRequest", text)
