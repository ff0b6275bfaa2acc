"""Lines of several processes on one terminal, each with the name of who said it."""

from __future__ import annotations

import os
import sys

WIDTH = 8
COLOURS = {"up": "36", "prepare": "35", "web": "32", "worker": "33", "beat": "34"}


def say(name: str, line: str, *, problem: bool = False) -> None:
    """One line to standard output; problems go to standard error. A reader that went away stops nothing."""
    stream = sys.stderr if problem else sys.stdout
    head = f"{name:<{WIDTH}}| " if name else ""
    if head and stream.isatty() and "NO_COLOR" not in os.environ:
        head = f"\x1b[{'31' if problem else COLOURS.get(name, '0')}m{head}\x1b[0m"
    try:
        stream.write(f"{head}{line}\n")
        stream.flush()
    except (BrokenPipeError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
