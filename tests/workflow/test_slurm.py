"""The tiny experiment on a real SLURM that is started for these tests: without accounting, and with it.

Where SLURM is not installed they are skipped, or fail if SLURM_TESTS=required (as in .ci/run, which installs it).
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests import ROOT
from tests.workflow.test_workflow import FIGURES
from tests.workflow.tiny import copy_project
from workflow.convergent import store

pytestmark = pytest.mark.slow

Found = TypeVar("Found")

SCRIPTS = Path(__file__).parent / "slurm"
DAEMONS = ["munged", "slurmctld", "slurmd"]
SUBMITTED = {
    "images": 1,
    "train": 2,
    "moments_val": 2,
    "moments_train": 1,
    "moments_untrained": 2,
    "moments_snapshots": 2,
    "merge_val": 1,
    "merge_train": 1,
    "merge_untrained": 1,
    "merge_snapshots": 1,
    "information": 1,
    "patches": 2,
    "stitching": 1,
    "functional": 1,
    "spectral": 1,
    "compare": 1,
    "compare_training": 1,
    "atlas_layer": 1,
}
MOMENTS = {"moments_val", "moments_train", "moments_untrained", "moments_snapshots"}
USE_GPU = {"train", *MOMENTS, "information", "patches", "functional"}
# Edits of the profile that give first attempts too little time, and too little memory.
TOO_LITTLE = {
    "runtime: attempt * 480 # one pass": "runtime: attempt # one pass",
    "moments_val: *gpu": "moments_val: {<<: *gpu, mem_mb: attempt ** 3 * 250}",
}
# A killed job's state, and the reason that SLURM writes to its log.
REASONS = {"TIMEOUT": "DUE TO TIME LIMIT", "FAILED": "memory limit", "CANCELLED": "CANCELLED AT"}
KILLED = {
    ("patches", "net0"): "TIMEOUT",
    ("moments_val", "0"): "FAILED",
    ("moments_val", "1"): "FAILED",
    ("train", "My.net_1"): "CANCELLED",
}


@dataclass(frozen=True)
class Site:
    """A kind of cluster: what it runs, what its user edits in the profile, puts first in PATH, asks for and submits."""

    daemons: list[str]
    profile: dict[str, str]
    path: list[str]
    targets: list[str]
    submitted: dict[str, int]


# Figures are drawn by one rule, on the login node: one of them is enough. The second site differs in how jobs are
# submitted and followed, not in what they do: some of them are enough.
SITES = {
    "squeue": Site(DAEMONS, {}, [], ["--omit-from", *sorted(FIGURES - {"draw_fig1_correlation"})], SUBMITTED),
    "sacct": Site(
        [*DAEMONS, "slurmdbd", "mariadbd"],
        {
            "slurm-status-command: squeue": "slurm-status-command: sacct",
            "slurm_account: \"''\"": "slurm_account: \"'test'\"",
            "gpu: 1 ": "gpu: 0\n      gres: \"'gpu:1'\" ",
        },
        [str(ROOT / "profiles/slurm/bin")],
        ["--until", "merge_val", "patches"],
        {rule: SUBMITTED[rule] for rule in ("images", "train", "moments_val", "merge_val", "patches")},
    ),
}


@dataclass(frozen=True)
class Job:
    """One submission, as SLURM remembers it."""

    number: int
    rule: str
    wildcards: str  # after the name of the run
    state: str
    memory: int  # MB
    minutes: int
    gpu: bool
    log: Path


@dataclass(frozen=True)
class Cluster:
    """A running SLURM, and the environment of what talks to it."""

    site: Site
    environment: dict[str, str]

    def __call__(self, *command: str) -> str:
        """Output of a command of SLURM."""
        return subprocess.run(command, env=self.environment, check=True, text=True, capture_output=True).stdout

    def jobs(self, folder: Path) -> list[Job]:
        """Everything that was ever submitted from a folder, in this order."""
        lines = self("scontrol", "--detail", "--oneliner", "show", "job").splitlines()
        fields = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
        return sorted((job(found) for found in fields if found["WorkDir"] == str(folder)), key=lambda job: job.number)


@dataclass(frozen=True)
class Run:
    """The experiment, finished on a cluster: its folder and jobs, and the GPU that each net's training saw."""

    folder: Path
    jobs: list[Job]
    gpus: list[str]


def job(found: dict[str, str]) -> Job:
    """From the fields of ``scontrol show job``."""
    rule, wildcards = re.fullmatch(r"rule_(\w+)_wildcards_scenes_?(.*)", found["Comment"]).groups()
    days, _, clock = found["TimeLimit"].rpartition("-")
    hours, minutes, _ = map(int, clock.split(":"))
    return Job(
        number=int(found["JobId"]),
        rule=rule,
        wildcards=wildcards,
        state=found["JobState"],
        memory=int(found["MinMemoryNode"].removesuffix("M")),
        minutes=(int(days or 0) * 24 + hours) * 60 + minutes,
        gpu=found.get("JOB_GRES", "").startswith("gpu:"),
        log=Path(found["StdOut"]),
    )


def wait_for(found: Callable[[], Found], seconds: float = 180) -> Found:
    """What a function returns once that is true."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return result


def at_work(folder: Path, module: str, argument: str = "") -> psutil.Process:
    """The process of a job, as soon as there is one: a module of the workflow with some argument, in a folder."""

    def fits(process: psutil.Process) -> bool:
        command = process.info["cmdline"] or []
        named = command[1:3] == ["-m", f"workflow.convergent.{module}"] and argument in " ".join(command)
        return named and process.info["cwd"] == str(folder)

    return wait_for(lambda: next(filter(fits, psutil.process_iter(["cmdline", "cwd"])), None))


def edit(file: Path, changes: dict[str, str]) -> None:
    """Replace texts that occur once."""
    text = file.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)


def project(folder: Path, profile: dict[str, str]) -> Path:
    """The tiny experiment with all stages of one layer, and an edited profile."""
    copy_project(folder, optional=True)
    edit(folder / "config.yaml", {"- conv1\n- conv2\n- fc7\n": "- conv1\n"})
    edit(folder / "profiles/slurm/config.yaml", profile)
    return folder


@contextmanager
def started(folder: Path, cluster: Cluster, *targets: str) -> Iterator[subprocess.Popen[bytes]]:
    """The user's command, only with quicker polls. A pytest in the background would have it ignore SIGINT."""
    quick = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "slurm", *quick, *targets]
    with (folder / "output").open("w") as output:
        running = subprocess.Popen(
            ["env", "--default-signal=INT", *command],
            cwd=folder,
            env=cluster.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=60)


def finish(folder: Path, running: subprocess.Popen[bytes]) -> None:
    assert running.wait(timeout=800) == 0, (folder / "output").read_text()


def digests(folder: Path) -> dict[Path, str]:
    """Digest of each array of each store, and description of each net."""
    results = folder / "results/scenes"
    stores = [path for path in results.rglob("zarr.json") if path.parent.suffix == ".zarr"]
    found = {path.parent / name: sha256 for path in stores for name, sha256 in store.attributes(path)["arrays"].items()}
    found |= {path: path.read_text() for path in results.glob("nets/*net*.json")}
    return {path.relative_to(results): digest for path, digest in found.items()}


@pytest.fixture(scope="module", params=SITES)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    site, path = SITES[request.param], os.environ["PATH"]
    missing = [daemon for daemon in site.daemons if not shutil.which(daemon, path=f"{path}:/usr/sbin")]
    if missing:
        give_up = pytest.fail if os.environ.get("SLURM_TESTS") == "required" else pytest.skip
        give_up(f"SLURM is not installed, {', '.join(missing)} missing: .ci/run shows how")
    state = tmp_path_factory.mktemp("slurm")
    subprocess.run([SCRIPTS / "up.sh", state, *(["slurmdbd"] if "slurmdbd" in site.daemons else [])], check=True)
    path = ":".join([f"{state}/bin", *site.path, path])
    yield Cluster(site, os.environ | {"SLURM_CONF": f"{state}/slurm.conf", "PATH": path})
    subprocess.run([SCRIPTS / "down.sh", state], check=True)


@pytest.fixture(scope="module")
def run(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The experiment, while some jobs get too little memory, one hangs until its time is over, and one is cancelled."""
    folder = project(tmp_path_factory.mktemp("submitted"), cluster.site.profile | TOO_LITTLE)
    with started(folder, cluster, *cluster.site.targets) as running:
        trainings = [at_work(folder, "nets.train", net).environ() for net in ("net0", "My.net_1")]
        cluster("scancel", trainings[1]["SLURM_JOB_ID"])
        at_work(folder, "patches.pictures", "net0").suspend()
        finish(folder, running)
    return Run(folder, cluster.jobs(folder), [training["CUDA_VISIBLE_DEVICES"] for training in trainings])


def test_what_takes_long_is_submitted(cluster: Cluster, run: Run) -> None:
    assert Counter(job.rule for job in run.jobs if job.state == "COMPLETED") == cluster.site.submitted
    assert (run.folder / "results/scenes/figures").exists() == (cluster.site.submitted == SUBMITTED)


def test_what_can_use_a_gpu_gets_one(cluster: Cluster, run: Run) -> None:
    assert {job.rule for job in run.jobs if job.gpu} == USE_GPU & cluster.site.submitted.keys()
    assert {job.rule for job in run.jobs if not job.gpu} == cluster.site.submitted.keys() - USE_GPU


def test_trainings_at_the_same_time_see_different_gpus(run: Run) -> None:
    assert sorted(run.gpus) == ["0", "1"]


def test_killed_jobs_are_submitted_again_and_ask_for_more(run: Run) -> None:
    assert {(job.rule, job.wildcards): job.state for job in run.jobs if job.state != "COMPLETED"} == KILLED
    for killed in KILLED:
        first, second = (job for job in run.jobs if (job.rule, job.wildcards) == killed)
        assert REASONS[first.state] in first.log.read_text()
        assert second.memory > first.memory
        assert second.minutes > first.minutes


def test_results_are_those_of_a_local_run(cluster: Cluster, run: Run, all_stages: Path) -> None:
    """Which has two more layers."""
    found = digests(run.folder)
    local = {path: digest for path, digest in digests(all_stages).items() if not re.search("conv2|fc7", str(path))}
    assert {"images", "nets", "moments", "patches"} <= {path.parts[0] for path in found}
    if cluster.site.submitted != SUBMITTED:
        local = {path: local[path] for path in found}
    assert found == local


def test_an_interruption_empties_the_queue_and_the_same_command_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    folder = project(tmp_path, cluster.site.profile)
    with started(folder, cluster) as running:
        job = at_work(folder, "images.build")
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) != 0
    wait_for(lambda: not cluster("squeue", "--noheader"))
    assert not job.is_running()
    with started(folder, cluster, "--until", "images") as running:
        finish(folder, running)
