"""Code inputs: all that a module imports, whatever way it says so, and nothing else."""

from pathlib import Path

import pytest

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


def names(found: list[str], folder: Path) -> list[str]:
    return [Path(file).relative_to(folder).as_posix() for file in found]


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
