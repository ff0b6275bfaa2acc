"""Processes of callers beside a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.server import ROOT, database_url, free_port

POOL = 8  # connections of each


class Callers:
    """One process. ``go`` begins; ``told`` waits for what its callers were told."""

    def __init__(self, database: str = "", **job: Any) -> None:
        variables = {
            **os.environ, "WFLO_DATABASE_URL": database or database_url(), "WFLO_DATABASE_POOL": str(POOL),
            "WFLO_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "WFLO_LOG_LEVEL": "ERROR",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tracking.ledger.callers", json.dumps({"threads": 1, **job})],
            cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._is_there = threading.Condition()
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._is_there:
                self.lines.append(line.strip())
                self._is_there.notify_all()

    def has_said(self, word: str, *, times: int = 1) -> None:
        with self._is_there:
            done = self._is_there.wait_for(
                lambda: sum(line.startswith(word) for line in self.lines) >= times, timeout=120
            )
        assert done, self.lines

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def told(self) -> list[Any]:
        self.process.wait(timeout=240)
        self._reader.join(timeout=30)
        assert self.process.returncode == 0
        return list(json.loads(self.lines[-1]))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=30)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def callers(count: int, **job: Any) -> Iterator[list[Callers]]:
    """Ready to go, all at once."""
    made = [Callers(**{**job, "seed": f"{job.get('seed')} {number}"}) for number in range(count)]
    try:
        for one in made:
            one.has_said("ready")
        yield made
    finally:
        for one in made:
            one.end()


def all_told(made: list[Callers]) -> list[Any]:
    """They go at once; what all were told."""
    for one in made:
        one.go()
    return [told for one in made for told in one.told()]
