"""What the lines on damaged files tell to do is done, word for word, until the command ends well."""

import re
import subprocess
from pathlib import Path

from . import experiment, files, processes
from .campaign import Campaign, Outcome, say, table
from .verdicts import shortened

# Of each of these one file is damaged; what is removed has to be made anew from them.
DAMAGED = (
    "correlation/*/*.zarr/zarr.json",
    "patches/*.zarr/**/c/**/*",
    "stitching/*/*.zarr/**/c/**/*",
    "matching/correlation/*/*.csv",
    "moments/val/*.zarr/**/c/**/*",
)
REMOVED = ("figures", "tables", "clustering", "evidence")
REMEDY = re.compile(r"make it again: (rm -r .+?), then run again")
ROUNDS = 8


def damage(campaign: Campaign, project: Path) -> list[Path]:
    """Change a digit or a byte in one file of each kind, and remove what was made from them."""
    rng, results = campaign.rng("remedies"), project / experiment.RESULTS
    damaged = []
    for pattern in DAMAGED:
        file = rng.choice(sorted(path for path in results.glob(pattern) if path.is_file() and path.stat().st_size))
        name = "a digit" if file.suffix in files.TEXTS else "middle byte"
        file.write_bytes(files.of(file)[name](file.read_bytes(), rng) or b"")
        damaged.append(file.relative_to(project))
    for name in REMOVED:
        experiment.remove(results / name)
    return damaged


def run(campaign: Campaign) -> Outcome:
    """Damage files, then do what is said until the command ends well."""
    project = experiment.copied(campaign.reference, campaign.folder / "remedies")
    damaged = damage(campaign, project)
    done: list[str] = []
    for number in range(ROUNDS):
        ended = processes.run(project, processes.make("figures"))
        told = list(dict.fromkeys(REMEDY.findall(ended.said)))
        say("remedies", f"call {number + 1}: status {ended.status}, {len(told)} to remove")
        if ended.status == 0 or not told:
            break
        for command in told:
            subprocess.run(["bash", "-c", command], cwd=project, check=False)
        done += told
    differing = campaign.differing(project)
    well = ended.status == 0 and not differing
    what = f"status {ended.status}, differing: {', '.join(differing[:5])}: {shortened(ended.said)}"
    rows = [[f"`{path.parts[2]}`", "yes" if well else "no"] for path in damaged]
    text = f"{table(['damaged, with others', 'equal digests in the end'], rows)}\n\nRemoved as told: {len(done)}."
    goal = "what the lines say to remove is removed, the same command is called, and digests are equal in the end"
    return Outcome(goal, len(damaged), text, len(damaged) if well else 0, [] if well else [f"{damaged}: {what}"])
