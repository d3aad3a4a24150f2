"""A tiny experiment with every kind of stage and of stored file, and the digests of its results."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from tests.workflow.tiny import copy_project

RESULTS = Path("results/scenes")
# Times, machines, commands, and what only serves a run that is not finished. PDFs hold the time when they were drawn.
VOLATILE = {"logs", "benchmarks", "checkpoints", "provenance", "probe.json"}
CHANGES = {
    "training": {"steps": 24},
    "moments": {"blocks": 4, "batch": 4},
    "stitching": {"images": 40},
}


def tiny_project(folder: Path) -> Path:
    """A copy of the project whose experiment takes two minutes: two nets, four photographs, one layer."""
    copy_project(folder, optional=True)
    for photograph in sorted((folder / "workflow/resources/scenes").glob("*.jpg"))[4:]:
        photograph.unlink()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for section, entries in CHANGES.items():
        config[section] |= entries
    config["data"]["crops"] |= {"train": 20, "val": 4}
    config["layers"] = ["conv1"]
    for conv in config["architecture"]["conv"]:
        conv["units"] = 4
    write_config(folder, config)
    return folder


def read_config(folder: Path) -> dict:
    return yaml.safe_load((folder / "config.yaml").read_text())


def write_config(folder: Path, config: dict, name: str = "config.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump(config, allow_unicode=True))
    return file


def copied(project: Path, folder: Path, results: bool = True) -> Path:
    """A copy of a project with its compiled code and, unless left out, its results and Snakemake's records."""
    left_out = [] if results else [project / "results", project / ".snakemake", project / ".running"]

    def ignored(place: str, names: Iterable[str]) -> list[str]:
        return [name for name in names if Path(place) / name in left_out]

    shutil.copytree(project, folder, ignore=ignored, symlinks=True)
    return folder


def digest(file: Path) -> str:
    """sha256 of a file; of a PDF that it is there."""
    return "there" if file.suffix == ".pdf" else hashlib.sha256(file.read_bytes()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Digest of each result below a folder by its relative path."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    paths = (file.relative_to(folder) for file in files)
    return {path.as_posix(): digest(folder / path) for path in paths if not VOLATILE.intersection(path.parts)}


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Paths of results that are missing, changed or left over."""
    return sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))


def remove(place: Path) -> None:
    """Remove a file or a folder, if there is one."""
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
