"""What the gateway adds to a call, and how many it makes: key, budget, loop memory, settlement and record switched on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bench.calls import Called, call, requests
from bench.server import KEY, ROOT, Meter, Server, free_port

HEADERS = {"Authorization": f"Bearer {KEY}"}
COST_USD = 400 * 0.0000025 + 100 * 0.00001
RACE_CALLS, RACE_FITS = 200, 20


class Gateway:
    """Groups ``bench-0``, ``bench-50`` and ``race-50`` before an upstream of the bench's own."""

    def __init__(self, server: Server, upstream_port: int) -> None:
        self.server, self.upstream_port = server, upstream_port
        with psycopg.connect(server.database_url, autocommit=True) as connection:
            for name in ("bench-0", "bench-50", "race-50"):
                self._group(connection, name)
        for name in ("bench-0", "bench-50", "race-50"):
            self._send("PUT", f"/api/v1/prices/openai/{name}", {
                "input_usd_per_million": 2.5, "output_usd_per_million": 10, "valid_from": "2020-01-01T00:00:00Z",
            })  # fmt: skip
        self.budget("all", {"kind": "team"}, 1_000_000)

    def _group(self, connection: psycopg.Connection[Any], name: str) -> None:
        group = uuid.uuid4()
        connection.execute(
            "INSERT INTO tracking_modelgroup (id, team_id, name, display_name, description, cache_seconds, is_active,"
            " fallback_on_auth, created_at) SELECT %s, min(id), %s, '', '', 0, true, false, now() FROM tracking_team",
            (group, name),
        )
        connection.execute(
            "INSERT INTO tracking_deployment (id, group_id, model, api_base, key_end, priority, weight, is_active, created_at)"
            " VALUES (%s, %s, %s, %s, '', 0, 1, true, now())",
            (uuid.uuid4(), group, f"openai/{name}", f"http://127.0.0.1:{self.upstream_port}/v1"),
        )

    def budget(self, name: str, scope: dict[str, str], limit_usd: float) -> None:
        self._send("POST", "/api/v1/budgets", {
            "name": name, "scope": scope, "window": "total", "limit_usd": limit_usd, "mode": "strict",
        })  # fmt: skip

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        headers = {**HEADERS, "Content-Type": "application/json"}
        request = urllib.request.Request(self.server.url + path, json.dumps(body).encode(), headers, method=method)
        urllib.request.urlopen(request, timeout=30).read()

    def given(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.upstream_port}/count", timeout=5) as answer:
            return int(answer.read())

    def through(self, model: str, *, stream: bool = False, connections: int, **limits: Any) -> Called:
        raws = requests(self.server.port, model, HEADERS, stream=stream)
        return asyncio.run(call(self.server.port, raws, connections=connections, **limits))

    def direct(self, model: str, *, stream: bool = False, connections: int, **limits: Any) -> Called:
        raws = requests(self.upstream_port, model, {}, stream=stream)
        return asyncio.run(call(self.upstream_port, raws, connections=connections, **limits))

    def one_by_one(self) -> tuple[float, float]:
        """(p50, p99) that are added to one call after the other, in ms."""
        self.through("bench-0", connections=1, total=50)
        direct = self.direct("bench-0", connections=1, total=300)
        through = self.through("bench-0", connections=1, total=600)
        return through.at(0.5) - direct.at(0.5), through.at(0.99) - direct.at(0.99)

    def many(self) -> tuple[float, float]:
        """(calls a second, CPU of server and stores in ms a call) with 32 at once."""
        self.through("bench-0", connections=32, seconds=1)
        with Meter(self.server) as meter:
            called = self.through("bench-0", connections=32, seconds=6)
        calls = called.statuses[200]
        return calls / called.seconds, 1000 * (meter.cpu + meter.store_cpu) / calls

    def streams(self) -> tuple[float, float]:
        """(ms added before the first chunk, chunks a second through 16 streams at once)."""
        self.through("bench-0", stream=True, connections=1, total=20)
        direct = self.direct("bench-0", stream=True, connections=1, total=100)
        alone = self.through("bench-0", stream=True, connections=1, total=150)
        many = self.through("bench-0", stream=True, connections=16, seconds=6)
        return alone.first_at(0.5) - direct.first_at(0.5), many.chunks / many.seconds

    def race(self) -> tuple[int, int]:
        """(answers the provider gave, answers the budget pays for): 200 at once on money for 20."""
        self.budget("race", {"kind": "model", "id": "race-50"}, round(COST_USD * RACE_FITS, 10))
        before = self.given()
        self.through("race-50", connections=RACE_CALLS, total=RACE_CALLS)
        return self.given() - before, RACE_FITS


@contextmanager
def gateway(server: Server) -> Iterator[Gateway]:
    port = free_port()
    upstream = subprocess.Popen(
        [sys.executable, "-m", "bench.upstream", str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert upstream.stdout is not None
        if upstream.stdout.readline().strip() != "ready":
            raise RuntimeError("the upstream did not start")
        yield Gateway(server, port)
    finally:
        upstream.terminate()
        upstream.wait(10)
