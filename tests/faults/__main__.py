"""Make faults on purpose and see what comes of them: ``make faults``, or ``make faults ARGS="kills damage"``.

SEED=1 draws other faults. The tables of docs/reliability.md are written anew. Ends with status 1 if a goal is missed.
"""

import argparse
import os
import signal
import tempfile
from pathlib import Path

from workflow.convergent.commands import new_parser

from . import configurations, damage, environment, equality, kills, names, remedies
from .campaign import PAGE, Campaign, Outcome, Subject, say, write

SUBJECTS: dict[str, Subject] = {
    "kills": kills.run,
    "damage": damage.run,
    "remedies": remedies.run,
    "configurations": configurations.run,
    "environment": environment.run,
    "equality": equality.run,
    "names": names.run,
}


def subject(text: str) -> str:
    """The name of a subject; ``choices`` of argparse would refuse that there is none."""
    if text in SUBJECTS:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no subject, choose from {', '.join(SUBJECTS)}")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    known = f"subjects to try: {', '.join(SUBJECTS)}"
    parser.add_argument("subjects", type=subject, nargs="*", metavar="subject", help=known)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 0), help="seed of all that is drawn")
    parser.add_argument("--patience", type=float, default=1.0, help="factor of the time that a subject may take")
    return parser.parse_args(argv)


def tried(subject: str, campaign: Campaign) -> Outcome:
    """What a subject has found; its table is written."""
    outcome = SUBJECTS[subject](campaign)
    write(PAGE, subject, outcome.text(campaign.seed))
    say(subject, f"{outcome.reached} of {outcome.planned}, goal {'missed' if outcome.missed() else 'reached'}")
    return outcome


def main() -> None:
    args = parse()
    # Both are ignored, by all commands too, where a shell says "&" or nohup.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    environment.in_namespace()
    with tempfile.TemporaryDirectory(prefix="faults") as folder:
        campaign = Campaign(Path(folder), args.seed, args.patience)
        outcomes = {subject: tried(subject, campaign) for subject in args.subjects or SUBJECTS}
    for subject, outcome in outcomes.items():
        for fault in outcome.faults:
            print(f"{subject}: {fault}")
    if any(outcome.missed() for outcome in outcomes.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
