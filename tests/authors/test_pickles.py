"""Arrays of pickles, of which nothing is executed."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.authors.clone import python2_pickle
from workflow.convergent.authors.pickles import read_array
from workflow.convergent.commands import InputError

ONLY = "only an array of floating-point numbers may"


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1, 1), (5,)])
def test_what_python_2_wrote_is_read_to_the_bit(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(kind)
    path = tmp_path / "a.pkl"
    path.write_bytes(python2_pickle(values))
    np.testing.assert_array_equal(read_array(path), values)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_this_python_writes_is_read_too(tmp_path: Path, protocol: int, order: str) -> None:
    values = np.asarray(np.random.default_rng(0).normal(size=(3, 4)), order=order)  # type: ignore[call-overload]
    path = tmp_path / "a.pkl"
    state = pickle.dumps(values, protocol=min(protocol, 4))  # numpy's own form of protocol 5 is another
    path.write_bytes(state)
    np.testing.assert_array_equal(read_array(path), values)


class Attack:
    """An object whose pickle runs a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_of_a_pickle_is_executed(tmp_path: Path, protocol: int) -> None:
    path, mark = tmp_path / "a.pkl", tmp_path / "mark"
    for held in (Attack(mark), [np.zeros(2), Attack(mark)]):
        path.write_bytes(pickle.dumps(held, protocol))
        with pytest.raises(InputError, match=r"mkdir|_codecs|numpy") as refused:
            read_array(path)
        assert "\n" not in str(refused.value)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # an attack it is


def test_a_pickle_changes_nothing_of_what_stands_in_place_of_numpy(tmp_path: Path) -> None:
    """A pickle may set attributes of what it names: here those of the function that makes arrays."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\2cnumpy.core.multiarray\n_reconstruct\n(N}X\x08\0\0\0functionK\1stb.")
    with pytest.raises(InputError):
        read_array(path)
    path.write_bytes(python2_pickle(np.ones(3)))
    assert read_array(path).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("held", "what"),
    [
        (np.arange(3), "numbers of kind <i8"),
        (np.array([None, 1]), "numbers of kind |O8"),
        ([1.0, 2.0], "list"),
        ({"weights": 1.0}, "dict"),
        (complex(1, 2), "builtins.complex"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, held: object, what: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(held, protocol=4))
    with pytest.raises(InputError) as refused:
        read_array(path)
    assert str(refused.value) == f"{path}: it holds {what}; {ONLY}"


def test_every_cut_of_a_file_is_one_line(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.pkl", python2_pickle(np.ones((2, 2), "<f4"))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_array(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_and_what_is_missing_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "a.pkl"
    with pytest.raises(InputError, match="no such pickle"):
        read_array(path)
    path.write_bytes(python2_pickle(np.array([1, value])))
    with pytest.raises(InputError, match="not all of its numbers are finite"):
        read_array(path)
