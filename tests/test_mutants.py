"""Changes of lines: each is one, in a place that decides results; the draw is that of its seed."""

import ast

import pytest

from tests import ROOT, mutants

CODE = '''
"""Text + 1."""
import numpy as np

Pair = tuple[int, 7]


def f(x: Literal[3], axis: int = 0) -> Literal[4]:
    """Docstring 5."""
    assert x == 6
    if x < 8:
        raise InputError(f"{x + 9}")
    print(x + 10)
    np.add.at(x, axis, out)
    return x.max(axis=1)[:2, None] @ x.T


def parse(argv):
    return argv + 11
'''


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str, str]]:
    """Kind, old and new text of each change of the code, and the code with it."""
    folder = tmp_path_factory.mktemp("mutants")
    (folder / "module.py").write_text(CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutants, "ROOT", folder)
        made = mutants.mutants_of("module.py")
        return [(mutant.kind, mutant.old, mutant.new, mutant.source().decode()) for mutant in made]


def test_what_is_changed_and_what_is_not(found: list[tuple[str, str, str, str]]) -> None:
    assert sorted((kind, old, new) for kind, old, new, _ in found) == [
        ("arguments", "np.add.at(x, axis, out)", "(np.add.at(axis, x, out))"),
        ("arithmetic", "x.max(axis=1)[:2, None] @ x.T", "(x.T @ x.max(axis=1)[:2, None])"),
        ("axes", "(:2, None)", "None, :2"),
        ("axes", "axis=1", "axis=0"),
        ("axes", "x.T", "(x)"),
        ("comparison", "x < 8", "(x <= 8)"),
        ("condition", "x < 8", "(not (x < 8))"),
        ("constant", "0", "(1)"),
        ("constant", "1", "(2)"),
        ("constant", "8", "(9)"),
        ("index", "2", "(3)"),
        ("index", ":2", "2:"),
        ("min, max", "x.max(axis=1)", "(x.min(axis=1))"),
        ("statement", "np.add.at(x, axis, out)", "pass"),
        ("statement", "raise InputError(f'{x + 9}')", "pass"),
    ]


def test_a_change_changes_one_line(found: list[tuple[str, str, str, str]]) -> None:
    for _, _, _, code in found:
        assert sum(old != new for old, new in zip(CODE.split("\n"), code.split("\n"), strict=True)) == 1


@pytest.mark.slow
def test_the_draw_has_all_modules_and_is_that_of_its_seed() -> None:
    drawn = mutants.drawn(100, 0)
    assert drawn == mutants.drawn(100, 0)
    assert len(set(drawn) - set(mutants.drawn(100, 1))) > 50
    assert len(set(drawn)) == 100
    drawn = mutants.drawn(150, 0)
    assert len(set(drawn)) == 150
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / mutants.PACKAGE).rglob("*.py")}
    without = {file for file in files if not mutants.mutants_of(file)}
    assert {mutant.module for mutant in drawn} == files - without
    for mutant in drawn:
        assert ast.dump(ast.parse(mutant.source())) != ast.dump(ast.parse((ROOT / mutant.module).read_bytes()))


def test_the_table_counts_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (
        mutants.Mutant(f"workflow/convergent/nets/{name}.py", "sign", 4, (0, 1), "-a", "(a)") for name in "xyz"
    )
    monkeypatch.setattr(mutants, "EQUIVALENT", {("nets/y.py", "-a", "(a)"): "squared below"})
    noticed = [
        "tests/nets/test_x.py::test_a[b-c]",
        "tests/nets/test_y.py::test_a",
        "tests/test_x.py::test_b",
        "endless",
    ]
    results = [(one, by) for by in noticed]
    assert mutants.table([*results, (two, ""), (three, "")], 5).splitlines() == [
        "Of 6 changes of one line each (seed 5) the tests noticed 4: those of the",
        "module 1, of its folder 1, others 1; 1 were noticed by tests that did not end.",
        "Not noticed:",
        "",
        "| module, line | change | of | to | why |",
        "|---|---|---|---|---|",
        "| `nets/y.py` 4 | sign | `-a` | `(a)` | squared below |",
        "| `nets/z.py` 4 | sign | `-a` | `(a)` | gap of the tests |",
    ]
