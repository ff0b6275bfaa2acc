"""The product's own web server beside the tests, on the tests' database."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 180  # several processes on a busy machine


@dataclass(slots=True)
class Server:
    """A running server; ``url`` has no slash at its end."""

    host: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def database_url() -> str:
    """The address of the database the tests run in."""
    name = settings.DATABASES["default"]["NAME"]
    assert name.endswith("_test"), f"{name} is no test database: nothing may be written to it"
    url = urlsplit(os.environ["WFLO_DATABASE_URL"])
    return urlunsplit(url._replace(path=f"/{name}"))


@contextmanager
def running_server(
    home: Path,
    *,
    workers: int = 1,
    app: str = "wflo_site.asgi:application",
    database: str = "",
    extra: Mapping[str, str] | None = None,
    head_ms: int = 10_000,
) -> Iterator[Server]:
    """Granian with ``app``, as in production, with ``extra`` in its environment; ended, with what it started, at the end.
    ``head_ms``: how long a head may take to come, and how long a connection may be idle."""
    home.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), home / "server.log"
    command = [
        *(sys.executable, "-m", "granian", app, "--interface", "asgi"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers), "--loop", "uvloop", "--no-ws"),
        *("--log-level", "warning", "--http1-header-read-timeout", "2000"),
    ]
    stores = {"WFLO_DATABASE_URL": database or database_url(), "WFLO_HOME": str(home)}
    variables = {**os.environ, **stores, "WFLO_SECRET_KEY": settings.SECRET_KEY, **(extra or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(process, port, log)
        yield Server("127.0.0.1", port, process, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at:
        if process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health/live")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-4000:]}")
