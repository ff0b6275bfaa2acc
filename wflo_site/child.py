"""One supervised process: started in a group of its own, its lines read, ended whole."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from wflo_site.log_lines import say

PR_SET_PDEATHSIG = 1
LINE_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
STEADY_SECONDS = 60.0  # one that ran so long starts over with the first wait
MARK = "WFLO_SUPERVISED_HOME"  # in the environment of every child, so that orphans of a killed supervisor are found


def dies_with_its_parent(parent: int, number: signal.Signals) -> Callable[[], None]:
    """To be called in the child: the kernel sends it this signal when the process that started it is gone."""
    libc = ctypes.CDLL(None)

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


class Child:
    """``pulses``: files the process touches while it makes progress, and for how many seconds it may not."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        pulses: Mapping[Path, float] | None = None,
    ) -> None:
        self.name = name
        self.pulses = dict(pulses or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at = 0.0  # monotonic; when a stopped one is to start again
        self._command = list(command)
        self.environ = dict(environ)
        self._started = 0.0
        self._wait = FIRST_WAIT
        self._rest = b""
        self.hears: Callable[[str], None] = partial(say, name)
        self.silent = True  # its output is closed; nothing more to read

    def start(self) -> None:
        self._started = time.monotonic()
        self._rest = b""
        self.silent = False
        for pulse in self.pulses:
            pulse.touch()
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environ,
            process_group=0,
            preexec_fn=dies_with_its_parent(os.getpid(), signal.SIGTERM),
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def fileno(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def lines(self) -> Iterator[str]:
        """What it said since the last call, in whole lines (a long one in parts)."""
        if self.process is None or self.silent:
            return
        try:
            more = os.read(self.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        self.silent = not more
        *whole, self._rest = (self._rest + more).split(b"\n")
        if len(self._rest) > LINE_BYTES or (not more and self._rest):
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            yield line.decode(errors="replace").rstrip()

    def ended(self) -> int | None:
        """The exit status of a process that ended by itself; what it left behind in its group is killed with it."""
        if self.process is None or self.process.poll() is None:
            return None
        self.signal(signal.SIGKILL)
        return self.process.returncode

    def stuck(self) -> float:
        """For how many seconds it has been alive without progress, where that is longer than it may be; else 0."""
        if self.process is None:
            return 0.0
        ages = {pulse: time.time() - pulse.stat().st_mtime for pulse in self.pulses}
        return max((age for pulse, age in ages.items() if age > self.pulses[pulse]), default=0.0)

    def start_later(self) -> float:
        """Plans the next start, later after each early end. Seconds until then."""
        if time.monotonic() - self._started > STEADY_SECONDS:
            self._wait = FIRST_WAIT
        wait, self._wait = self._wait, min(self._wait * 2, LONGEST_WAIT)
        self.start_at = time.monotonic() + wait
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        return wait

    def signal(self, number: signal.Signals) -> None:
        """To the whole group: granian's workers too."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass

    def ask_to_end(self) -> None:
        """To the process alone: it ends its own workers in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


def orphans(home: Path) -> list[int]:
    """Processes that a killed supervisor of this folder left behind."""
    mark = f"{MARK}={home}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                environ = Path("/proc", entry, "environ").read_bytes()
            except OSError:
                continue
            if mark in environ.split(b"\0"):
                found.append(int(entry))
    return found
