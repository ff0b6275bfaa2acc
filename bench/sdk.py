"""What the library costs its host beside OpenTelemetry's: a span, and the end of a process whose server never answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def span_and_exit(name: str) -> tuple[float, float, float]:
    """(p50 us, p99 us, seconds from the last span to the process's end), before a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        command = [sys.executable, "-m", "bench.sdk_spans", name, endpoint]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            p50, p99 = json.loads(process.stdout.readline())
            began = time.perf_counter()
            process.wait(timeout=120)
    return p50, p99, time.perf_counter() - began
