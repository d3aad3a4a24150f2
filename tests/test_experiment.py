"""The file of an experiment: what it says is read, in whatever way it is written; the rest is in test_checks."""

import os
import re
from pathlib import Path

import pytest
from snakemake.utils import update_config

from tests.configurations_refused import EMBEDDED
from workflow.convergent import experiment
from workflow.convergent.commands import InputError


def read(folder: Path, content: bytes) -> dict:
    file = folder / "my.yaml"
    file.write_bytes(content)
    return experiment.read(file)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"run: a", {"run": "a"}),
        (b"\xef\xbb\xbfrun: a\r\ndata: 1\r\n", {"run": "a", "data": 1}),
        ("run: Möwe\n".encode(), {"run": "Möwe"}),
        (b"run: '2024-01-01'\nsteps: 1_000\nrate: 1.0e-3\n", {"run": "2024-01-01", "steps": 1000, "rate": 0.001}),
        (b"'1': a\n'yes': b\n'010': '1:30'\n", {"1": "a", "yes": "b", "010": "1:30"}),
        (b'{"run": "a", "nets": [{"seed": 0}]}', {"run": "a", "nets": [{"seed": 0}]}),
        (
            b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n",
            {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}},
        ),
        (
            b"a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}\n",
            {"a": {"x": 1}, "b": {"x": 2, "z": 3}, "c": {"x": 1, "z": 3}},
        ),
        (b"a: [{x: 1}, {x: 1}]\n", {"a": [{"x": 1}, {"x": 1}]}),
    ],
    ids=["plain", "mark-and-returns", "utf-8", "values", "quoted", "json", "merged", "merged-lists", "keys-apart"],
)
def test_what_is_written_is_read(tmp_path: Path, content: bytes, expected: dict) -> None:
    assert read(tmp_path, content) == expected


def refusal(file: Path | str) -> str:
    with pytest.raises(InputError) as stopped:
        experiment.read(file)
    return str(stopped.value)


def test_a_mistyped_name_is_said_with_those_that_are_there(tmp_path: Path) -> None:
    for name in ("my_images.yaml", "my_nets.yml", "other.yaml", "notes.txt"):
        (tmp_path / name).write_text(EMBEDDED)
    missing = tmp_path / "my_image.yaml"
    assert refusal(missing) == f"{missing}: no such configuration; there are my_images.yaml, my_nets.yml"
    far = tmp_path / "zzz"
    assert refusal(far) == f"{far}: no such configuration; there are my_images.yaml, my_nets.yml, other.yaml"
    assert refusal("no/such/my.yaml") == "no/such/my.yaml: no such configuration"


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would be waited for, /dev/zero never ends."""
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert refusal(place) == f"{place}: a configuration must be a file, not a folder, a pipe or a device"
    assert refusal("x" * 300) == f"{'x' * 300}: File name too long, the configuration cannot be read"
    broken = tmp_path / "broken.yaml"
    broken.symlink_to("nowhere")
    assert "no such configuration" in refusal(broken)


def test_a_file_without_permission_is_said_to_be_so(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(EMBEDDED)
    file.chmod(0)
    root = os.geteuid() == 0  # reads everything
    if root:
        os.seteuid(65534)
    try:
        said = refusal(file)
    finally:
        if root:
            os.seteuid(0)
    assert said == f"{file}: Permission denied, the configuration cannot be read"


@pytest.mark.parametrize("line", [1, 2, 40])
def test_lines_count_from_one(tmp_path: Path, line: int) -> None:
    lines = [b"# nothing"] * 50
    lines[line - 1] = b"a: \xff"
    with pytest.raises(InputError, match=f", line {line}: byte 0xff"):
        read(tmp_path, b"\n".join(lines))
    lines[line - 1] = b"a: \0"
    with pytest.raises(InputError, match=re.escape(f", line {line}: character U+0000")):
        read(tmp_path, b"\r\n".join(lines))
    lines[line - 1] = b"a: [)"
    with pytest.raises(InputError, match=", line "):
        read(tmp_path, b"\n".join(lines))


@pytest.mark.parametrize("depth", [experiment.DEEPEST - 2, experiment.DEEPEST - 1])
def test_depth_counts_beside_what_lies_less_deep(tmp_path: Path, depth: int) -> None:
    """A list in so many lists, the mapping and what stands beside it."""
    file = tmp_path / "deep.yaml"
    file.write_text(f"run: [a, {'[' * (depth - 1)}b{']' * (depth - 1)}]\n")
    if depth + 2 <= experiment.DEEPEST:
        assert set(experiment.read(file)) == {"run"}
    else:
        with pytest.raises(InputError, match=r"more than .* within each other"):
            experiment.read(file)


def test_several_files_are_merged_as_snakemake_merges_them(tmp_path: Path) -> None:
    texts = [
        "run: a\ndata: {size: 36, crops: {train: 3}}\nnets: [{seed: 0}, {seed: 1}]\nfigures: 5\n",
        "data: {size: 32, crops: {val: 4}}\nnets: [{seed: 2}]\nfigures: {unit: 3}\n",
        "data: 7\nfigures: {pair: a-b}\n",
    ]
    expected: dict = {}
    for count in range(1, 4):
        (tmp_path / f"{count}.yaml").write_text(texts[count - 1])
        update_config(expected, experiment.read(tmp_path / f"{count}.yaml"))
        assert experiment.together(tmp_path / f"{number}.yaml" for number in range(1, count + 1)) == expected
