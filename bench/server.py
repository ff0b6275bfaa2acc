"""A Wflo of the bench's own: started as a person starts it, in a folder of its own, and measured from outside."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from wflo_site.stack_home import recall

ROOT = Path(__file__).resolve().parent.parent
KEY = "bench-key-of-this-folder-only"
EMAIL, PASSWORD = "bench@wflo.local", "bench password 1"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Server:
    """The supervisor and everything below it."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="wflo-bench-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = (self.home / "up.log").open("w")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds from the command to the first answer."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("WFLO_", "DJANGO_"))}
        environ |= {
            "WFLO_HOME": str(self.home), "WFLO_PORT": str(self.port), "WFLO_API_KEY": KEY,
            "WFLO_ADMIN_EMAIL": EMAIL, "WFLO_ADMIN_PASSWORD": PASSWORD,
        }  # fmt: skip
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wflo_site.supervisor"], cwd=ROOT, env=environ, stdout=self.log, stderr=self.log
        )
        while time.perf_counter() - began < 120:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.last_lines()}")
            try:
                urllib.request.urlopen(f"{self.url}/login", timeout=5).read()
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
                continue
            return time.perf_counter() - began
        raise RuntimeError("the server did not answer within 120 s")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def last_lines(self) -> str:
        return (self.home / "up.log").read_text()[-4000:]

    def remove(self) -> None:
        self.stop()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def database_url(self) -> str:
        from wflo_site.devstack import start

        return start(self.home).database_url  # running already: only says where

    def processes(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """Ours (supervisor, web, worker, beat) and the stores'."""
        ours: list[psutil.Process] = []
        if self._process is not None:
            root = psutil.Process(self._process.pid)
            ours = [root, *root.children(recursive=True)]
        memory = recall(self.home)
        stores = []
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or [])
            if str(self.home) in words and process not in ours:
                stores.append(process)
                stores += process.children(recursive=True)
        names = ("postgres", "valkey", "setpriv")
        below = [p for p in ours if any(name in _name(p) for name in names)]
        assert memory is not None
        stores = list({p.pid: p for p in (*stores, *below)}.values())
        known = {p.pid for p in stores}
        return [p for p in ours if p.pid not in known], stores


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


class Meter:
    """CPU seconds and peak memory of the server and its stores between ``with`` and its end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._done = threading.Event()
        self.cpu = 0.0
        self.store_cpu = 0.0
        self.rss_peak = 0

    def __enter__(self) -> Meter:
        self._ours, self._stores = self._server.processes()
        self._before = _cpu(self._ours), _cpu(self._stores)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(1.0):  # a look costs 30 ms, and holds up what it looks at
            self.rss_peak = max(self.rss_peak, memory(self._ours))

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self._thread.join()
        self.cpu = _cpu(self._ours) - self._before[0]
        self.store_cpu = _cpu(self._stores) - self._before[1]


def _cpu(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def memory(processes: list[psutil.Process]) -> int:
    """Resident bytes, pages that processes share counted once (PSS)."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total
