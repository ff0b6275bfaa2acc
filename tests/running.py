"""A whole Wflo beside the tests: the supervisor with all it starts, as a person starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import psutil

from wflo_site.child import MARK
from wflo_site.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Running:
    """``with``-less on purpose: tests end it in several ways. ``said`` grows while it runs."""

    def __init__(self, home: Path, *, port: int | None = None, **settings: str) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WFLO_")}
        environ |= {"WFLO_HOME": str(home), "WFLO_PORT": str(self.port), "WFLO_WEB_PROCESSES": "1", **settings}
        environ.pop("DJANGO_SETTINGS_MODULE", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wflo_site.supervisor"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def greeted(self) -> Running:
        """Waits for the banner. Fails with all that was said."""
        done = wait_until(
            lambda: "Ctrl-C stops it." in self.said or self.process.poll() is not None, seconds=START_SECONDS
        )
        assert done, self.said
        assert self.process.poll() is None, self.said
        return self

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def banner(self, label: str) -> str:
        """The value beside ``label`` in the banner; empty when it is not there."""
        found = [line.strip().removeprefix(label).strip() for line in self.lines if line.strip().startswith(label)]
        return found[0] if found else ""

    def child(self, word: str) -> psutil.Process | None:
        """The living process the supervisor started whose command has this word."""
        for process in psutil.Process(self.process.pid).children():
            try:
                if word in process.cmdline():
                    return process
            except psutil.Error:
                continue  # ended while we looked
        return None

    def has_said(self, words: str) -> bool:
        return words in self.said

    def everything(self) -> list[psutil.Process]:
        """All processes of this folder that live: supervised ones and the two servers."""
        mark, found = str(self.home), []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get(MARK) == mark or process.cwd().startswith(mark):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end; its status."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        status = self.process.wait(timeout=START_SECONDS)
        self._reader.join(timeout=START_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status
