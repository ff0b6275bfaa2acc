"""What ``up`` starts: read from WFLO_ variables, before Django is there."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wflo_site.child import Child

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
WEB_PROCESSES = 2
TASKS_SECONDS, JOBS_SECONDS = 120.0, 30.0  # without a task finished, a round of the jobs' loop
WORKER_THREADS = 4
KILL_WEB_SECONDS = 4  # less than the supervisor waits
DATABASE_SCHEMES, REDIS_SCHEMES = ("postgresql", "postgres"), ("redis", "rediss", "unix", "valkey")


class LaunchError(Exception):
    """A start that cannot be; the text is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Launch:
    """``database_url`` and ``redis_url`` are empty when ours are to be started."""

    home: Path
    host: str
    port: int
    address: str
    web_processes: int
    database_url: str
    redis_url: str
    stops_with_parent: bool
    environ: Mapping[str, str]


def read_launch(environ: Mapping[str, str]) -> Launch:
    """Raises LaunchError."""
    if sys.version_info < OLDEST_PYTHON:
        raise LaunchError(
            f"Wflo needs Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer; this is {sys.version.split()[0]}."
        )
    home = Path(environ.get("WFLO_HOME", "").strip() or ROOT / ".wflo").expanduser().absolute()
    host = environ.get("WFLO_HOST", "").strip() or "127.0.0.1"
    port = _number(environ, "WFLO_PORT", 8000, 1, 65535)
    shown = f"[{host}]" if ":" in host else host
    return Launch(
        home=home,
        host=host,
        port=port,
        address=environ.get("WFLO_PUBLIC_URL", "").strip().rstrip("/") or f"http://{shown}:{port}",
        web_processes=_number(environ, "WFLO_WEB_PROCESSES", WEB_PROCESSES, 1, 256),
        database_url=_url(environ, "WFLO_DATABASE_URL", DATABASE_SCHEMES, "postgresql://user:password@host:port/name"),
        redis_url=_url(environ, "WFLO_REDIS_URL", REDIS_SCHEMES, "redis://:password@host:port/0"),
        stops_with_parent=environ.get("WFLO_STOP_WITH_PARENT", "") == "1",
        environ={
            **environ,
            "WFLO_HOME": str(home),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(part for part in (str(ROOT), environ.get("PYTHONPATH", "")) if part),
            # Each process has few busy threads; glibc's many arenas would only keep freed memory.
            "MALLOC_ARENA_MAX": environ.get("MALLOC_ARENA_MAX", "2"),
        },
    )


def prepare_command() -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), "prepare"]


def web(launch: Launch, environ: Mapping[str, str]) -> Child:
    """Not started, as those of ``background``."""
    return Child("web", _web(launch), environ)


def background(launch: Launch, environ: Mapping[str, str]) -> list[Child]:
    """Worker and beat."""
    tasks, jobs = launch.home / "worker.pulse", launch.home / "engine.pulse"
    pulses = {"WFLO_WORKER_PULSE": str(tasks), "WFLO_ENGINE_PULSE": str(jobs), "CELERY_SKIP_CHECKS": "1"}
    celery = [sys.executable, "-m", "celery", "-A", "wflo_site.celery:app", "--quiet"]
    worker = [
        *celery, "worker",
        "--pool", "threads",
        "--concurrency", str(WORKER_THREADS),
        "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip
    beat = [*celery, "beat", "--loglevel", "WARNING", "--scheduler", "celery.beat:Scheduler"]
    # Without Django's settings beat does not load Django: half the memory.
    without_django = {name: value for name, value in environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return [
        # Django's checks would load every page into the worker; 'make check' and the tests run them.
        Child("worker", worker, {**environ, **pulses}, {tasks: TASKS_SECONDS, jobs: JOBS_SECONDS}),
        Child("beat", beat, without_django),
    ]


def version_of_tables() -> str:
    """Changes whenever migrations or installed packages may have: while it does not, web need not wait for them."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (*sorted(ROOT.glob("*/migrations/*.py")), ROOT / "requirements" / "server.txt"):
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _web(launch: Launch) -> list[str]:
    return [
        sys.executable, "-m", "granian", "wflo_site.asgi:application",
        "--interface", "asgi",
        "--host", launch.host,
        "--port", str(launch.port),
        "--workers", str(launch.web_processes),
        "--loop", "uvloop",
        "--no-ws",
        "--http1-header-read-timeout", "10000",  # milliseconds; a head that trickles in is cut
        "--log-level", "warning",
        "--respawn-failed-workers",
        "--respawn-interval", "2",
        "--workers-kill-timeout", str(KILL_WEB_SECONDS),
    ]  # fmt: skip


def _number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise LaunchError(f"{name} is {text!r}: give a number from {low} to {high}.")
    return int(text)


def _url(environ: Mapping[str, str], name: str, schemes: tuple[str, ...], example: str) -> str:
    text = environ.get(name, "").strip()
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        wrong = parts.scheme not in schemes or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise LaunchError(f"{name} is not an address of the form {example}.")
    return text
