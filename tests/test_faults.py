"""The campaign of faults itself: what it draws, judges and writes. ``make faults`` runs it."""

import random
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.faults import bench, campaign, damage, files, mistakes, names, processes, stages, verdicts
from tests.faults.__main__ import SUBJECTS, parse
from tests.faults.stages import Job
from workflow.convergent import store, tables

STORE = Path("results/scenes/correlation/conv1/net0-net1.zarr/zarr.json")
CODE = """
import sys
from pathlib import Path

def main(argv):
    text = Path(argv[0]).read_text()
    if text != "whole":
        {}
    Path(argv[1]).write_text("made")
"""


def test_the_page_has_a_section_for_each_subject(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(campaign.PAGE.read_text())
    for subject in [*SUBJECTS, "mutants"]:
        campaign.write(page, subject, f"found of {subject}")
        campaign.write(page, subject, f"new of {subject}")
        assert page.read_text().count(f"<!-- {subject}:begin -->\nnew of {subject}\n<!-- {subject}:end -->") == 1
    assert "found of" not in page.read_text()


def test_some_subjects_or_all_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["kills", "names"]).subjects == ["kills", "names"]
    assert parse([]).subjects == []
    with pytest.raises(SystemExit):
        parse(["nonsense"])
    assert "'nonsense' is no subject, choose from kills, damage" in capsys.readouterr().err


def test_a_goal_is_missed_by_a_fault_or_by_what_was_not_tried() -> None:
    table = campaign.counted("file", ["good", "bad"], {"store": Counter(good=2, bad=1)})
    assert table.splitlines()[-1] == "| store | 3 | 2 | 1 |"
    assert not campaign.Outcome("all", 3, table, 3).missed()
    assert campaign.Outcome("all", 3, table, 2).missed()
    assert campaign.Outcome("all", 3, table, 3, ["one"]).missed()


@pytest.mark.parametrize("name", files.DAMAGES | files.OF_TEXT)
def test_damage_changes_a_file(name: str) -> None:
    content = b'{"a": 17}\nlast\n'
    damaged = files.of(Path("a.json"))[name](content, random.Random(0))
    assert damaged != content
    if name.endswith("byte"):
        changed = [place for place, pair in enumerate(zip(content, damaged, strict=True)) if pair[0] != pair[1]]
        assert len(changed) == 1
        assert files.described(content, damaged).startswith(f"byte {changed[0]} is 0x")


def test_every_kind_of_stored_file_has_its_name() -> None:
    kinds = {
        "results/a/images/val.zarr/zarr.json": "store: zarr.json",
        "results/a/images/val.zarr/images/zarr.json": "store: zarr.json of an array",
        "results/a/images/val.zarr/images/c/0/0": "store: chunk",
        "results/a/images/val.zarr/parts/0.json": "part: record",
        "results/a/nets/net0.pt": "net: weights",
        "results/a/nets/net0.csv.sha256": "table: digest",
        "results/a/checkpoints/net0/state.pt": "checkpoint",
    }
    assert {path: files.kind(Path(path)) for path in kinds} == kinds


def project_with_a_stage(folder: Path, otherwise: str) -> tuple[Path, bench.Case]:
    """A project whose only stage copes with damage in some way."""
    (folder / "results/scenes").mkdir(parents=True)
    (folder / "results/scenes/in.csv").write_text("whole")
    (folder / "results/scenes/out.csv").write_text("made")
    module = f"stage_{random.randrange(10**9)}"
    (folder / f"{module}.py").write_text(CODE.format(otherwise))
    arguments = ("results/scenes/in.csv", "results/scenes/out.csv")
    job = Job("copy", arguments[:1], arguments[1:], ("python", "-m", module, *arguments))
    return folder, bench.Case("stages", job, Path(arguments[0]), "half", "0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("otherwise", "verdict"),
    [
        ("sys.exit('results/scenes/in.csv: damaged')", "one line"),
        ("text = 'whole'", "no consequence"),
        ("sys.exit('damaged')", "file not named"),
        ("sys.exit('results/scenes/in.csv: damaged\\nand more')", "not one line"),
        ("raise ValueError(argv[0])", "not one line"),
        ("return Path(argv[1]).write_text('other')", "wrong result"),
        ("import time; time.sleep(60)", "no end"),
    ],
)
def test_a_verdict_on_what_a_stage_makes_of_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, otherwise: str, verdict: str
) -> None:
    monkeypatch.setattr(bench, "LIMIT", 2.0)
    project, case = project_with_a_stage(tmp_path / "project", otherwise)
    monkeypatch.syspath_prepend(project)
    found = bench.Bench({"stages": project}, tmp_path / "bench").attempt(case)
    assert found.verdict == verdict
    assert found.change == "cut to 2 bytes"
    assert (tmp_path / "bench/stages/results/scenes/in.csv").read_text() == "whole"
    assert (tmp_path / "bench/stages/results/scenes/out.csv").read_text() == "made"


def test_each_reader_meets_damage_in_each_kind_of_file(tmp_path: Path) -> None:
    store.save(tmp_path / STORE, {"correlation": [[0.5, 0.25]]}, layer="conv1")
    table = STORE.parents[1] / "net0-net1.csv"
    tables.write(tmp_path / table, [{"unit": 0, "greedy": 0.5}])
    jobs = [Job(name, (STORE.as_posix(), table.as_posix(), "code.py"), (), ()) for name in ("one", "two")]
    cases = damage.of_stages(tmp_path, jobs, 200, random.Random(0))
    assert len(set(cases)) == len(cases)
    kinds = {"store: zarr.json", "store: zarr.json of an array", "store: chunk", "store: provenance", "table"}
    for name in ("one", "two"):
        assert {files.kind(case.path) for case in cases if case.job.rule == name} >= kinds
    assert {case.damage for case in cases if case.path == table} == {*files.DAMAGES, *files.OF_TEXT}
    found = [bench.Found(case, "wrong result", "emptied", "said") for case in cases[:2]]
    assert "(2 cases)" in damage.fault(found)


def test_a_command_of_a_rule_without_where_its_messages_go() -> None:
    assert stages.words_of("python -m a.b 'x y' --c '{\"d\": 1}' 2>&1 | tee log") == (
        *("python", "-m", "a.b", "x y", "--c"),
        '{"d": 1}',
    )


@pytest.mark.slow
def test_a_command_and_all_of_its_processes_end_at_the_limit(tmp_path: Path) -> None:
    ended = processes.run(tmp_path, ["bash", "-c", "echo begun; sleep 60 & sleep 60"], limit=0.5)
    assert (ended.status, ended.said) == (None, "begun\n")
    assert processes.living(tmp_path) == []
    assert processes.run(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"]).status == 3


@pytest.mark.slow
def test_mistakes_are_of_every_kind_and_keep_their_seed() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    drawn = mistakes.mistakes(config, 120, random.Random(0))
    assert drawn == mistakes.mistakes(config, 120, random.Random(0))
    assert {mistake.kind for mistake in drawn} == {*mistakes.VALUES, "file", "held by a test"}
    assert len({mistake.content for mistake in drawn}) == 120
    assert yaml.safe_dump(config).encode() not in {mistake.content for mistake in drawn}


def test_names_hold_every_piece_and_fit_into_a_file_system() -> None:
    assert all(piece in names.name() for piece in names.PIECES.values())
    chosen = names.own_names()
    longest = max(map(len, (name.encode() for name in (*chosen.classes, chosen.weights, f"{chosen.file}10.png"))))
    assert longest <= 255
    assert "/" not in names.name()


def test_what_make_and_snakemake_add_is_no_message() -> None:
    said = ["Using workflow specific profile profiles/default for setting.", "", "run: wrong", "make: *** [x] Error 1"]
    assert verdicts.lines("\n".join(said)) == ["run: wrong"]
