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


OWN = {
    "own.py": "import a.b as c\nfrom flat import *\nimport json, torch\nfrom workflow.convergent import store\n"
    "def late():\n    from space.inner import thing\n    import importlib\n    importlib.import_module('dynamic')\n"
    "    import_module('.given', 'space')\n    spec_from_file_location('x', Path(__file__).with_name('by_path.py'))\n",
    "a/__init__.py": "from . import lazily\n",
    "a/b.py": "from .sub.deep import value\nfrom .. import a\n",
    "a/lazily.py": "from .sub import *\n",
    "a/sub/__init__.py": "__all__ = ['starred']\n",
    "a/sub/deep.py": "from ..beside import value\nfrom ..sub import deep\n",
    "a/sub/starred.py": "",
    "a/beside.py": "",
    "flat.py": "try:\n    import optional\nexcept ImportError:\n    import unreadable\n",
    "optional.py": "",
    "unreadable.py": "def (:",
    "space/inner.py": "from space.other import x\n",
    "space/other.py": "from .third import x\n",
    "space/third.py": "",
    "space/given.py": "",
    "dynamic.py": "",
    "by_path.py": "",
    "workflow/convergent/store.py": "import unused",
}
NOT_OWN = ["space/given.py", "workflow/convergent/store.py"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a user's module imports others in every way; three of them it does not reach."""
    for name, text in {**OWN, "unused.py": "", "a/unused.py": "", "json/unused.py": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_that_a_users_module_imports_is_found(own: Path) -> None:
    assert sources.own_sources("own") == sorted(set(OWN) - set(NOT_OWN))
    assert sources.own_sources("a.b") == sorted(name for name in OWN if name.startswith("a/"))


@pytest.mark.parametrize("module", ["torch", "no_such", "a.no_such", "json"])
def test_a_module_that_does_not_lie_in_the_folder_has_no_files(own: Path, module: str) -> None:
    assert sources.own_sources(module) == []


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


@pytest.mark.parametrize(
    "code",
    [
        'def late():\n    """Says why.\n\n    import it late: it is heavy\n    """\n    from .plain import value\n',
        "from .plain import value, \\\n    there\n",
        "try: from .plain import value\nexcept ImportError: value = 0\n",
        "x = 1; from .plain import value\n",
        "from .plain import (  # of (all)\n    value,\n    there,\n)\n",
        "from .plain import (value,\r\n    there)\r\nimport json\r\n",
    ],
    ids=["prose", "continued", "one line", "second of a line", "brackets in a comment", "line ends of Windows"],
)
def test_imports_of_any_form_are_found(toy: Path, code: str) -> None:
    (toy / "form.py").write_bytes(code.encode())
    assert {"form.py", "plain.py", "circle.py"} == set(names(sources.sources("form"), toy))
    assert sorted(sources.statements(sources.parsed(toy / "form.py"))) == sorted(sources.statements(ast.parse(code)))


@pytest.mark.slow
def test_the_imports_of_the_package_are_found_without_a_tree_of_all_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = {file: sources.statements(sources.parsed(file)) for file in sources.PACKAGE.rglob("*.py")}
    whole = {file: sources.statements(ast.parse(file.read_bytes())) for file in found}
    assert sum(map(len, found.values())) > 500
    assert {file: sorted(imports) for file, imports in found.items()} == {
        file: sorted(imports) for file, imports in whole.items()
    }


@pytest.mark.slow
def test_the_package_imports_itself_by_relative_imports_only() -> None:
    """``sources`` follows no others: what a module imports by an absolute name would be missing in the rules."""
    files = sorted((ROOT / "workflow/convergent").rglob("*.py"))
    assert len(files) > 40
    assert {file.name: absolute_imports(file.read_text()) for file in files if absolute_imports(file.read_text())} == {}
