"""Names that are commands, patterns or no letters: a run with them works, and executes nothing."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import experiment, own, processes
from .campaign import Campaign, Outcome, say, table
from .verdicts import shortened

CANARY = "executed"  # the file that a name would make if it were executed
PIECES = {
    "a space": "a b",
    "a single quote": "it's",
    "a double quote": 'so "called',
    "a semicolon": f"; touch {CANARY} ;",
    "`$(…)`": f"$(touch {CANARY})",
    "backticks": f"`touch {CANARY}`",
    "a pipe": f"|| touch {CANARY} ||",
    "an ampersand": f"& touch {CANARY} &",
    "braces": "{run}{0}{",
    "percent": "%s%%",
    "a newline": "one\ntwo",
    "letters that are not ASCII": "Zürich東京",
    "a star": "*?[a]",
    "a backslash": "\\n\\",
    "a dollar": "$HOME$$",
    "a hash": "#",
    "a tilde": "~",
}
BEGINNINGS = ("-", ".")
PLACES = ("project folder", "data folder", "classes", "image files", "modules", "weights")


def name(beginning: str = "", without: str = "") -> str:
    """All pieces as one name, which begins with a dash or a dot."""
    return beginning + "".join(piece for piece in PIECES.values()).translate(str.maketrans("", "", f"/{without}"))


def own_names() -> own.Names:
    """Names of the user's own experiment; one that is too long for a file is cut in two."""
    return own.Names(
        data=name("-"),
        classes=(name("."), name("-"), name()),
        file=name("-"),
        module=name("-", without="."),
        weights=name(".") + ".pth",
    )


def tools(project: Path) -> Path:
    """A folder of a Python within the project, as .venv/bin is one for a user."""
    folder = project / "tools"
    folder.mkdir()
    (folder / "python").symlink_to(processes.PYTHON)
    return folder.relative_to(project)


def executed(project: Path, campaign: Campaign) -> list[Path]:
    """Files that a name has made, wherever a command could have run."""
    places = [project, campaign.folder, Path.cwd(), Path.home()]
    return [place / CANARY for place in places if (place / CANARY).exists()]


def ran(project: Path, campaign: Campaign) -> str:
    """What is wrong with a run of a project; empty where nothing is."""
    site = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    ended = processes.run(
        project, processes.make("figures", tools=tools(project)), environment={"PYTHONPATH": str(site)}
    )
    say("names", f"{project.parent.name}: {ended.seconds:.0f} s")
    if made := executed(project, campaign):
        return f"executed: {made}"
    return "" if ended.status == 0 else f"status {ended.status}: {shortened(ended.said)}"


def in_a_folder(campaign: Campaign) -> str:
    """The tiny experiment in a project folder of such a name, with equal results."""
    folder = campaign.folder / "names of folders"
    folder.mkdir()
    project = experiment.copied(campaign.reference, folder / name("-"), results=False)
    wrong = ran(project, campaign)
    differing = [] if wrong else campaign.differing(project)
    return wrong or (f"differing: {', '.join(differing[:5])}" if differing else "")


def of_data(campaign: Campaign) -> str:
    """An experiment whose data folder, classes, files, modules and weights have such names."""
    folder = campaign.folder / "names of data"
    folder.mkdir()
    return ran(own.own_project(folder / "project", own_names()), campaign)


def run(campaign: Campaign) -> Outcome:
    """Run both experiments."""
    _ = campaign.reference
    with ThreadPoolExecutor() as pool:
        found = [future.result() for future in [pool.submit(in_a_folder, campaign), pool.submit(of_data, campaign)]]
    works = ["no" if wrong else "yes" for wrong in found]
    rows = [[place, works[place != "project folder"]] for place in PLACES]
    contents = ", ".join([*PIECES, "a dash or a dot at its beginning"])
    goal = "the run works and executes nothing"
    faults = [f"names of {what}: {wrong}" for what, wrong in zip(("folders", "data"), found, strict=True) if wrong]
    text = f"Each name holds at once: {contents}.\n\n{table(['name of', 'works'], rows)}"
    return Outcome(goal, len(PLACES), text, sum(row[1] == "yes" for row in rows), faults)
