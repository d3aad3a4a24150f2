"""What a command may say when it fails: one line, besides those that make and Snakemake add."""

import re

# Lines that tell the user nothing about the fault.
ADDED = re.compile(r"make: \*\*\* .*|make: \[.*|Using workflow specific profile .*|Assuming unrestricted .*")


def lines(said: str) -> list[str]:
    """Lines of a failed command, without those that make and Snakemake add and without empty ones."""
    return [line for line in said.splitlines() if line.strip() and not ADDED.fullmatch(line)]


def traceback(said: str) -> bool:
    return "Traceback (most recent call last)" in said


def shortened(text: str, most: int = 300) -> str:
    """A text on one line, its end where it is long."""
    joined = " | ".join(line.strip() for line in text.splitlines() if line.strip())
    return joined if len(joined) <= most else f"…{joined[-most:]}"


def matches(pattern: str, line: str) -> bool:
    return re.search(pattern, line) is not None
