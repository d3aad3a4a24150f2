"""Results do not depend on cores, hash seeds, locales, folders, time zones and shards."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import experiment, processes
from .campaign import Campaign, Outcome, say, table
from .verdicts import shortened

SHARDS = "moments/{split}/shards"
TURKISH = "tr_TR.UTF-8"


@dataclass(frozen=True)
class Variant:
    """What differs from the undisturbed run. Several things differ at once: any of them would show."""

    name: str
    cores: int
    shards: int
    environment: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)  # variables that name a folder, which is made

    def described(self) -> str:
        given = " ".join(f"{key}={value}" for key, value in (self.environment | self.folders).items())
        return f"CORES={self.cores}, moments.shards: {self.shards}, {given}"


def locale() -> str:
    """A locale whose small letters differ from English ones, or C.UTF-8 where it is not installed."""
    installed = subprocess.run(["locale", "-a"], text=True, capture_output=True).stdout
    return TURKISH if "tr_TR" in installed else "C.UTF-8"


def variants() -> list[Variant]:
    """One on a single core in the poorest environment, one in a rich one."""
    poor = {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Pacific/Kiritimati"}
    rich = {"PYTHONHASHSEED": "4242", "LC_ALL": locale(), "TZ": "America/St_Johns", "COLUMNS": "40"}
    return [
        Variant("poor", 1, 1, poor, {"TMPDIR": "a b", "HOME": "nobody"}),
        Variant("rich", 2, 3, rich, {"TMPDIR": "tmp", "XDG_CACHE_HOME": "cache"}),
    ]


def results(project: Path) -> dict[str, str]:
    """Digests of all results but the shards, of which there are more or fewer."""
    found = experiment.digests(project / experiment.RESULTS)
    return {path: digest for path, digest in found.items() if "/shards/" not in path}


def fault(variant: Variant, campaign: Campaign) -> str:
    """What is wrong with a run of a variant; empty for equal results."""
    project = experiment.copied(campaign.reference, campaign.folder / variant.name, results=False)
    config = experiment.read_config(project)
    config["moments"]["shards"] = variant.shards
    experiment.write_config(project, config)
    folders = {key: campaign.folder / f"{variant.name} {name}" for key, name in variant.folders.items()}
    for folder in folders.values():
        folder.mkdir()
    environment = variant.environment | {key: str(folder) for key, folder in folders.items()}
    ended = processes.run(project, processes.make("figures", cores=variant.cores), environment=environment)
    say("equality", f"{variant.name}: {ended.seconds:.0f} s")
    differing = experiment.differences(results(campaign.reference), results(project))
    if ended.status == 0 and not differing:
        return ""
    return (
        f"{variant.described()}: status {ended.status}, differing: {', '.join(differing[:5])}: {shortened(ended.said)}"
    )


def run(campaign: Campaign) -> Outcome:
    """Run the variants and compare their results with those of the undisturbed run."""
    tried, _ = variants(), campaign.reference
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda variant: fault(variant, campaign), tried))
    rows = [[variant.described(), "no" if wrong else "yes"] for variant, wrong in zip(tried, found, strict=True)]
    reference = "CORES=2, moments.shards: 2, the environment of the campaign"
    faults = [wrong for wrong in found if wrong]
    head = [f"compared with {reference}", "digests are equal"]
    goal = "equal digests of all results"
    return Outcome(goal, len(tried), table(head, rows), len(tried) - len(faults), faults)
