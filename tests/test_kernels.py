"""Compiled functions: what is damaged in numba's cache is compiled again."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

CODE = """
from workflow.convergent.kernels import compiled


@compiled()
def twice(x):
    return 2 * x
"""


def fresh(folder: Path) -> ModuleType:
    """The module as a new process imports it."""
    (folder / "toy.py").write_text(CODE)
    spec = importlib.util.spec_from_file_location("toy", folder / "toy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_cached(folder: Path) -> bool:
    """Whether the function comes from the cache; it computes what it should in any case."""
    twice = fresh(folder).twice
    assert twice(3) == 6
    return bool(twice.stats.cache_hits)


def cut(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])


def flip(file: Path, place: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x10
    file.write_bytes(content)


DAMAGE = {
    "empty": lambda file: cut(file, 0),
    "cut short": lambda file: cut(file, 20),
    "half": lambda file: cut(file, file.stat().st_size // 2),
    "last byte": lambda file: cut(file, -1),
    "gone": Path.unlink,
    "other": lambda file: file.write_text("nothing that numba wrote"),
    **{f"flipped at {place}": lambda file, place=place: flip(file, place) for place in (0, 0.01, 0.3, 0.5, 0.9, 1)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module, and its function in the cache."""
    folder = tmp_path_factory.mktemp("kernels")
    assert not is_cached(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_compiled_again(folder: Path, kind: str, damage: str) -> None:
    assert is_cached(folder)
    (file,) = (folder / "__pycache__").glob(f"*.{kind}")
    DAMAGE[damage](file)
    assert not is_cached(folder)
    assert is_cached(folder)


def test_without_a_folder_for_the_cache_each_process_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__pycache__").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "__pycache__/cache"))
    assert not is_cached(tmp_path)
    assert not is_cached(tmp_path)


def test_a_folder_that_can_no_longer_be_written_is_no_error(tmp_path: Path) -> None:
    module = fresh(tmp_path)
    for file in (tmp_path / "__pycache__").iterdir():
        file.unlink()
    (tmp_path / "__pycache__").rmdir()
    (tmp_path / "__pycache__").write_text("a file")
    assert module.twice(3) == 6
