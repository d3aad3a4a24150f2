"""What the user sees: lines, and below them the progress."""

import shutil
import sys
import time

EVERY = 30.0  # seconds between lines of progress where there is no terminal
CLEAR = "\r\033[K"  # the line of the terminal


class Screen:
    """The progress is the last line of a terminal, rewritten in place; elsewhere it is a line now and then."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.said: set[str] = set()
        self.progress = ""
        self.shown = -EVERY  # when progress was last printed

    def say(self, text: str) -> None:
        """Print lines above the progress."""
        self.said.update(text.splitlines())
        print(f"{CLEAR}{text}\n{self.progress}" if self.progress else text, end="" if self.progress else "\n")
        sys.stdout.flush()

    def show(self, progress: str) -> None:
        """Print how far the run is."""
        if self.terminal:
            self.progress = progress[: shutil.get_terminal_size().columns - 1]
            print(f"{CLEAR}{self.progress}", end="", flush=True)
        elif time.monotonic() >= self.shown + EVERY:
            self.shown = time.monotonic()
            print(progress, flush=True)

    def end(self) -> None:
        """Take the progress away."""
        if self.progress:
            print(CLEAR, end="", flush=True)
        self.progress = ""
