"""Code inputs: everything that a module imports, in every way to import it, and nothing else."""

import ast
from pathlib import Path

import pytest

from tests import ROOT
from workflow.convergent import sources

TOY = {
    "deep/stage.py": "from .. import plain\nfrom ..other.place import name\nfrom . import beside\nimport json\n",
    "deep/beside.py": "def late():\n    from ..late import something\n",
    "other/place.py": "from ..plain import value\nfrom numpy import plain as unused\n",
    "plain.py": "from .circle import back\n",
    "circle.py": "from .plain import there\nfrom . import circle\n",
    "late.py": "",
    "unused.py": "from .deep import stage\n",
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in which modules import each other in every way that the language has."""
    for name, text in TOY.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(sources, "PACKAGE", tmp_path)
    sources.imports.cache_clear()
    yield tmp_path
    sources.imports.cache_clear()


def names(files: list[str], folder: Path) -> list[str]:
    return [Path(file).relative_to(folder).as_posix() for file in files]


def test_all_that_is_imported_is_found_once_with_the_module_itself(toy: Path) -> None:
    needed = ["circle.py", "deep/beside.py", "deep/stage.py", "late.py", "other/place.py", "plain.py"]
    assert names(sources.sources("deep.stage"), toy) == needed


@pytest.mark.parametrize(
    ("without", "left"),
    [
        (["deep.beside"], ["circle.py", "deep/stage.py", "other/place.py", "plain.py"]),
        (["plain"], ["deep/beside.py", "deep/stage.py", "late.py", "other/place.py"]),
    ],
)
def test_what_is_left_out_takes_with_it_what_only_it_imports(toy: Path, without: list[str], left: list[str]) -> None:
    assert names(sources.sources("deep.stage", without), toy) == left


def test_a_module_that_is_not_there_is_an_error(toy: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sources.sources("deep.nowhere")


def test_stitched_nets_depend_on_the_reading_of_mappings_but_not_on_how_they_are_fitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An edit of the Lasso makes the mappings again. Where they come out equal, the stitched nets are not run again."""
    monkeypatch.chdir(ROOT)
    files = {Path(file).relative_to(sources.PACKAGE).as_posix() for file in sources.sources("stitching.stitched")}
    assert {"stitching/stitched.py", "stitching/mappings.py"} <= files
    assert not {"stitching/fit.py", "stitching/lasso.py", "stitching/replay.py"} & files
    assert sources.path_of("stitching.lasso").as_posix() in sources.sources("stitching.fit")


def absolute_imports(code: str) -> list[str]:
    """Modules that code imports by an absolute name that begins with this package."""
    nodes = list(ast.walk(ast.parse(code)))
    named = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    named += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return [name for name in named if name and name.split(".")[0] == "workflow"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from workflow.convergent import store", ["workflow.convergent"]),
        ("def late():\n    import workflow.convergent.store as s", ["workflow.convergent.store"]),
        ("from workflow import convergent", ["workflow"]),
        ("from .. import workflow\nimport numpy", []),
    ],
)
def test_absolute_imports_are_recognised(code: str, expected: list[str]) -> None:
    assert absolute_imports(code) == expected


def test_the_package_imports_itself_by_relative_imports_only() -> None:
    """``sources`` follows no others: what a module imports by an absolute name would be missing in the rules."""
    files = sorted((ROOT / "workflow/convergent").rglob("*.py"))
    assert len(files) > 40
    assert {file.name: absolute_imports(file.read_text()) for file in files if absolute_imports(file.read_text())} == {}
