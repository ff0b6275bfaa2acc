"""One supervised process: its lines, its end, what it leaves behind, and when it starts again."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wflo_site.child import FIRST_WAIT, LONGEST_WAIT, MARK, Child, orphans
from wflo_site.processes import alive, wait_until

WAIT_SECONDS = 20


class Kept:
    """A child of this code, and every line it said."""

    def __init__(self, code: str, home: Path, pulse: Path | None = None) -> None:
        pulses = {} if pulse is None else {pulse: 60.0}
        self.child = Child("it", [sys.executable, "-c", code], {**os.environ, MARK: str(home)}, pulses)
        self.lines: list[str] = []
        self.child.start()

    def says(self, line: str) -> bool:
        self.lines += self.child.lines()
        return line in self.lines

    def ended(self) -> bool:
        return self.child.ended() is not None


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Kept]]:
    kept: list[Kept] = []
    yield kept
    for one in kept:
        one.child.signal(signal.SIGKILL)
        if one.child.process is not None:
            one.child.process.wait()
            one.child.start_later()


def keep(started: list[Kept], code: str, home: Path, pulse: Path | None = None) -> Kept:
    started.append(Kept(code, home, pulse))
    return started[-1]


def test_lines_come_whole_and_the_last_one_without_its_end(started: list[Kept], tmp_path: Path) -> None:
    kept = keep(started, "import sys; sys.stdout.write('one\\ntwo €\\n' + 'x' * 200_000 + '\\nlast')", tmp_path)
    assert wait_until(lambda: kept.says("last"), seconds=WAIT_SECONDS)
    assert kept.lines[:2] == ["one", "two €"]
    assert "".join(kept.lines[2:-1]) == "x" * 200_000
    assert wait_until(lambda: kept.says("") or kept.child.silent, seconds=WAIT_SECONDS)


def test_what_a_killed_process_leaves_in_its_group_is_killed_with_it(started: list[Kept], tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(inner.pid, flush=True); time.sleep(600)"
    )
    kept = keep(started, code, tmp_path)
    assert wait_until(lambda: kept.says("") or bool(kept.lines), seconds=WAIT_SECONDS)
    inner = int(kept.lines[0])
    assert kept.child.process is not None
    kept.child.process.kill()
    assert wait_until(kept.ended, seconds=WAIT_SECONDS)
    assert wait_until(lambda: not alive(inner), seconds=WAIT_SECONDS)


def test_orphans_are_found_by_the_folder_they_worked_for(started: list[Kept], tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    mine = keep(started, "import time; time.sleep(600)", here)
    keep(started, "import time; time.sleep(600)", there)
    assert wait_until(lambda: orphans(here) == [mine.child.pid], seconds=WAIT_SECONDS)


def test_each_early_end_waits_longer_up_to_a_limit(started: list[Kept], tmp_path: Path) -> None:
    kept = keep(started, "", tmp_path)
    assert wait_until(kept.ended, seconds=WAIT_SECONDS)
    waits = [kept.child.start_later() for _ in range(9)]
    assert waits[0] == FIRST_WAIT
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT


def test_one_that_finishes_nothing_is_stuck(started: list[Kept], tmp_path: Path) -> None:
    """J33"""
    pulse = tmp_path / "pulse"
    kept = keep(started, "import time; time.sleep(600)", tmp_path, pulse)
    assert not kept.child.stuck()
    os.utime(pulse, (time.time() - 61, time.time() - 61))
    assert kept.child.stuck() > 60
