"""Workers beside the tests: Celery's own processes on the tests' stores, as the supervisor starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.server import ROOT, database_url
from tracking.models import AgentJob, Worker
from wflo_site.processes import wait_until

SECONDS = 60.0


class Workers:
    """``start`` some, do to them what an operator or a machine may."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.variables = variables
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, count: int = 1, *, pool: str = "threads", limits: dict[str, float] | None = None, **variables: str
    ) -> list[subprocess.Popen[bytes]]:
        """Ready when this returns."""
        command = [
            *(sys.executable, "-m", "celery", "-A", "tests.tracking.queue.short_worker:app", "--quiet", "worker", "--pool", pool, "--concurrency", "2"),
            *("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]  # fmt: skip
        environ = {**self._environ(), "SHORT_LIMITS": json.dumps(limits or {}), **variables}
        before = Worker.objects.count()
        started = []
        for _ in range(count):
            with (self.home / "worker.log").open("ab") as log:
                started.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                    )
                )
        self.processes += started
        assert wait_until(lambda: Worker.objects.count() >= before + count, seconds=SECONDS), self.log()
        return started

    def die(self, moment: str, first: int, last: int) -> None:
        """Workers that die one after another (tests.tracking.queue.dying); the last one's lease is over when this returns."""
        command = [sys.executable, "-m", "tests.tracking.queue.dying", moment, str(first), str(last)]
        done = subprocess.run(
            command, cwd=ROOT, env=self._environ(), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-4_000:]
        AgentJob.objects.filter(status="running").update(lease_until="2000-01-01T00:00:00Z")

    def _environ(self) -> dict[str, str]:
        stores = {
            "WFLO_DATABASE_URL": database_url(),
            "WFLO_HOME": str(self.home),
            "WFLO_SECRET_KEY": settings.SECRET_KEY,
        }
        return {**os.environ, **stores, "CELERY_SKIP_CHECKS": "1", **self.variables}

    def kill(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
        os.killpg(process.pid, number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            process.wait(30)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        self.processes.clear()
        Worker.objects.all().delete()

    def log(self) -> str:
        path = self.home / "worker.log"
        return path.read_text()[-6_000:] if path.exists() else ""


def became(job: AgentJob, *statuses: str, seconds: float = SECONDS) -> AgentJob:
    """The job once it is one of these. Fails with what it is."""

    def is_so() -> bool:
        job.refresh_from_db()
        return job.status in statuses

    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{job.status}: {job.reason}"
        time.sleep(0.05)
    return job


def agent(**fields: Any) -> dict[str, Any]:
    """A definition."""
    return {"name": "walker", "instructions": "Walk.", "model": "echo", "tools": [], "pattern": "single", **fields}
