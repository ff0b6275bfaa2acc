"""Tools of the tests' own: they change the world, which is a file, and fail as they are told."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from wflo.agents import declare


def _world() -> Path:
    return Path(os.environ["JOB_TEST_WORLD"])


def _unwrite(arguments: dict[str, str], result: str) -> str:
    stuck = _world().with_suffix(".stuck")
    if stuck.exists() and stuck.read_text() == arguments["text"]:
        raise OSError(f"{stuck.read_text()} is stuck")
    with _world().open("a") as file:
        file.write(f"un{arguments['text']}\n")
    return "taken back"


@declare(effect="write", undo=_unwrite)
def write_down(text: str) -> str:
    """Write a line."""
    with _world().open("a") as file:
        file.write(f"{text}\n")
    return f"wrote {text}"


@declare(effect="write", risk="high")
def pay(text: str) -> str:
    """Pay somebody."""
    with _world().open("a") as file:
        file.write(f"paid {text}\n")
    return f"paid {text}"


@declare(effect="read")
def rest(text: str) -> str:
    """Wait for a moment."""
    time.sleep(float(os.environ.get("JOB_TEST_REST", "5")))
    return "rested"


@declare(effect="read")
def crash(text: str) -> str:
    """Take the whole process along."""
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


@declare(effect="read")
def tell_secret(text: str) -> str:
    """Fail with a key in the words."""
    raise RuntimeError("no access for sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH")


@declare(effect="read")
def much(text: str) -> str:
    """Say a lot."""
    return text * 190_000
