"""``python -m bench``: ingest, reads, memory, disk and start-up of a Wflo of its own, printed beside the targets.

``--spans`` is the larger store that reads are timed on (1,000,000); a smaller one, of a tenth, comes first. A receiver
that does nothing but store (``floor``) is measured in the same run: how fast it is here against where the targets were
set says what a rate or a time measured here comes to there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

from bench import agents, client, floor, sdk, workload
from bench.gateway import gateway
from bench.server import KEY, Meter, Server, memory
from bench.sign_in import cookie

API = {"Authorization": f"Bearer {KEY}"}
OTLP = {**API, "Content-Type": "application/x-protobuf"}
MIB = 2**20
RUNS = 3


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    value: float
    unit: str
    target: float
    is_floor: bool = False  # the target is a least, not a most
    speed: float = 1.0  # of this machine beside the targets', when it was measured; 1 for what does not depend on it

    @property
    def there(self) -> float:
        """What it comes to on the targets' machine."""
        return self.value / self.speed if self.is_floor else self.value * self.speed

    @property
    def is_reached(self) -> bool:
        return self.there >= self.target if self.is_floor else self.there <= self.target


class Bench:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.figures: list[Figure] = []
        self.seed = 0
        self.stored = 0
        self.speed = 1.0

    def add(self, figure: Figure, *, is_timed: bool = True) -> None:
        self.figures.append(replace(figure, speed=self.speed) if is_timed else figure)
        say(f"  {figure.what}: {figure.value:,.3g} {figure.unit}")

    def gauge(self) -> None:
        """How fast the machine is now: others may share it, and it changes within a run."""
        rate = floor.spans_per_second(self.server.database_url, self.made(8_000, batch=0, days=0.04))
        self.speed = min(1.0, rate / floor.FLOOR)  # a faster machine is not held to more
        say(f"  a bare receiver stores {rate:,.0f} spans/s now, {floor.FLOOR:,} where the targets were set")

    def start_up(self) -> None:
        self.add(Figure("first start, packages there", self.server.start(), "s", 60))
        self.server.stop()
        self.add(Figure("later start", self.server.start(), "s", 6))
        time.sleep(8)  # worker and beat come up behind the pages
        self.add(
            Figure("memory idle: web, worker, beat", memory(self.server.processes()[0]) / MIB, "MiB", 614),
            is_timed=False,
        )

    def made(self, spans: int, *, batch: int, days: float) -> list[tuple[bytes, int]]:
        self.seed += 1
        return list(workload.bodies(workload.traces(self.seed, spans, time.time_ns(), days), batch=batch))

    def ingest(self, *, spans: int, batch: int, at_least: int, p99_ms: float | None) -> None:
        self.gauge()
        self.send(self.made(1_000, batch=batch, days=0.04))
        size = self.database_bytes()
        rates, cpu, late, peak, sent_spans = [], [], [], 0, 0
        for _ in range(RUNS):
            bodies = self.made(spans, batch=batch, days=0.04)
            before = self.total_spans()
            with Meter(self.server) as meter:
                sent = self.send(bodies)
            seen = self.total_spans() - before
            if seen != sent.spans:
                raise RuntimeError(f"{sent.spans} spans were acknowledged and {seen} are in the totals")
            rates.append(sent.spans / sent.seconds)
            cpu.append(1000 * (meter.cpu + meter.store_cpu) / sent.spans)
            late.append(sent.at(0.99))
            peak, sent_spans = max(peak, meter.rss_peak), sent_spans + sent.spans
        name = f"{batch}-span batches" if batch else "a trace a request"
        self.add(Figure(f"ingest, {name}", sorted(rates)[1], "spans/s", at_least, is_floor=True))
        if p99_ms is None:
            self.add(Figure(f"CPU, server and stores, {name}", sorted(cpu)[1], "s per 1,000 spans", 0.30))
            grown = self.database_bytes() - size
            self.add(Figure("disk", grown / sent_spans, "bytes per span", 1_900), is_timed=False)
        else:
            self.add(Figure(f"p99 of a request, {name}", sorted(late)[1], "ms", p99_ms))
        self.add(Figure(f"memory under ingest, {name}", peak / MIB, "MiB", 922), is_timed=False)

    def ingests(self) -> None:
        self.ingest(spans=8_000, batch=0, at_least=5_000, p99_ms=None)
        self.ingest(spans=30_000, batch=512, at_least=9_000, p99_ms=800)

    def agents(self) -> None:
        self.add(Figure("import wflo", agents.import_ms("wflo"), "ms", 100), is_timed=False)
        self.add(Figure("import wflo.agents", agents.import_ms("wflo.agents"), "ms", 300), is_timed=False)
        found = agents.loops_us()
        if not found:
            say("  the other frameworks are not here: make peers")
            return
        for name in agents.FRAMEWORKS:
            say(f"  a loop of ten tools, {name}: {found[name]:,.0f} us")
        best = min(found[name] for name in agents.FRAMEWORKS)
        self.add(
            Figure("a loop of ten tools, beside the quickest of the others", found["wflo"], "us", best), is_timed=False
        )
        more = found["complete"] - found["litellm"]
        self.add(Figure("complete, over LiteLLM's bare call", more, "us", best / agents.CALLS), is_timed=False)

    def library(self) -> None:
        p50, p99, exit_s = sdk.span_and_exit("opentelemetry")
        say(f"  OpenTelemetry: a span {p50:.1f} us p50, {p99:.0f} us p99; the end of the process {exit_s:.1f} s")
        p50, p99, exit_s = sdk.span_and_exit("wflo")
        self.add(Figure("library, a span with a prompt of 2 KB, p50", p50, "us", 20), is_timed=False)
        self.add(Figure("library, the same, p99", p99, "us", 200), is_timed=False)
        self.add(Figure("library, end of a process, server silent", exit_s, "s", 2), is_timed=False)

    def both_stores(self, spans: int) -> None:
        for size in (spans // 10, spans):
            self.grow(size)
            self.reads(f"{size:,} spans")

    def grow(self, spans: int) -> None:
        """Up to ``spans`` spans over the last seven days."""
        missing = spans - self.stored
        while missing > 0:
            step = min(missing, 50_000)
            # The order of arrival is shuffled over the week by the seeds, not sorted by time.
            self.send(self.made(step, batch=512, days=7))
            missing -= step
        self.stored = spans
        self.wait_folded()

    def wait_folded(self) -> None:
        """Until the week just filled in is folded: reads are exact before that too, and slower."""
        with psycopg.connect(self.server.database_url, autocommit=True) as connection:
            for _ in range(180):
                row = connection.execute("SELECT count(*) FROM tracking_usage_delta").fetchone()
                if row == (0,):
                    return
                time.sleep(1)
        raise RuntimeError("usage was not folded within three minutes")

    def reads(self, label: str) -> None:
        self.gauge()
        now = datetime.now(UTC)
        week = f"from={_moment(now - timedelta(days=7))}&to={_moment(now)}"
        run = json.loads(self.get("/api/v1/runs?limit=50", times=1)[1])["runs"][25]["id"]
        page = {"Cookie": cookie(self.server)}
        for what, path, target, headers in (
            ("50 newest runs, API", "/api/v1/runs?limit=50", 8, API),
            ("runs, page", "/runs?from=now-7d", 35, page),
            ("a run's tree, API", f"/api/v1/runs/{run}/spans?limit=500", 10, API),
            ("a run, page", f"/runs/{run}", 40, page),
            ("cost by agent, 7 days, API", f"/api/v1/usage?{week}&group_by=agent", 6, API),
            ("cost by model, 7 days, API", f"/api/v1/usage?{week}&group_by=model", 6, API),
            ("cost by agent and model, 7 days, API", f"/api/v1/usage?{week}&group_by=agent,model", 6, API),
            ("home, page", "/", 35, page),
            ("agents, page", "/agents?from=now-7d", 40, page),
            ("costs, page", "/costs?from=now-7d", 40, page),
        ):
            took, _ = self.get(path, times=30, headers=headers)
            self.add(Figure(f"{what}, {label}", took[len(took) // 2], "ms p50", target))

    def huge_run(self, spans: int) -> None:
        """One run of 50,000 spans, sent as an exporter does, and its page."""
        self.gauge()
        root = workload.Trace(random.Random(1), b"\x07" * 16, time.time_ns() - 3_600 * 10**9)
        while len(root.spans) < spans:
            root.agent("giant", b"\x07" * 8, 4, 2)
        root.now += 10**9
        root.span("giant", b"", 1, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "giant"}).span_id = (
            b"\x07" * 8
        )
        began = time.perf_counter()
        self.send(list(workload.bodies(iter([root]), batch=5_000)), connections=1)
        self.add(Figure(f"a run of {spans:,} spans taken in", time.perf_counter() - began, "s", 60))
        took, _ = self.get(f"/runs/{'07' * 16}", times=3, headers={"Cookie": cookie(self.server)})
        self.add(Figure(f"a run of {spans:,} spans, page", took[1], "ms p50", 1_000))

    def calls(self) -> None:
        """The gateway; LiteLLM's proxy, without any database: 14.6 and 25.1 ms, 160 calls/s, 12.2 ms, 16.7 ms, 1,150."""
        self.gauge()
        with gateway(self.server) as through:
            p50, p99 = through.one_by_one()
            self.add(Figure("gateway, added to a call, p50", p50, "ms", 5))
            self.add(Figure("gateway, added to a call, p99", p99, "ms", 12))
            rate, cpu = through.many()
            self.add(Figure("gateway, 2 processes", rate, "calls/s", 500, is_floor=True))
            self.add(Figure("gateway, CPU of server and stores", cpu, "ms a call", 3.5))
            first, chunks = through.streams()
            self.add(Figure("gateway, added to a first chunk, p50", first, "ms", 6))
            self.add(Figure("gateway, streams of 100 chunks", chunks, "chunks/s", 20_000, is_floor=True))
            answered, fits = through.race()
            self.add(
                Figure("answers beyond a budget, 200 at once", max(answered - fits, 0), "calls", 0), is_timed=False
            )
            paid = Figure("answers of the 20 it pays for", answered, "calls", fits, is_floor=True)
            self.add(paid, is_timed=False)

    def send(self, bodies: Sequence[tuple[bytes, int]], connections: int = 8) -> client.Sent:
        return asyncio.run(client.send(self.server.port, OTLP, bodies, connections=connections))

    def get(self, path: str, *, times: int, headers: dict[str, str] = API) -> tuple[list[float], bytes]:
        return asyncio.run(client.read(self.server.port, path, headers, times=times))

    def total_spans(self) -> int:
        now = datetime.now(UTC)
        span = f"from={_moment(now - timedelta(days=30))}&to={_moment(now + timedelta(hours=1))}"
        return int(json.loads(self.get(f"/api/v1/usage?{span}", times=1)[1])["totals"]["spans"])

    def database_bytes(self) -> int:
        with psycopg.connect(self.server.database_url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            assert row is not None
            return int(row[0])


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def table(figures: Sequence[Figure]) -> str:
    lines = [
        "",
        "'there': at the speed of the machine the targets were set on, by what a bare receiver did in the same minutes",
        f"{'figure':<58} {'measured':>12} {'there':>12} {'target':>12}  unit",
    ]
    for f in figures:
        mark = "" if f.is_reached else "   NOT REACHED"
        target = f"{'>=' if f.is_floor else '<='} {f.target:,.4g}"
        lines.append(f"{f.what:<58} {f.value:>12,.4g} {f.there:>12,.4g} {target:>12}  {f.unit}{mark}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--spans", type=int, default=1_000_000, help="the larger store reads are timed on")
    parser.add_argument(
        "--only",
        choices=("start", "agents", "library", "ingest", "gateway", "reads", "huge"),
        nargs="*",
        help="parts to run; all by default",
    )
    chosen = parser.parse_args()
    server = Server()
    bench = Bench(server)
    steps: dict[str, Callable[[], None]] = {
        "agents": bench.agents,
        "library": bench.library,
        "ingest": bench.ingests,
        "gateway": bench.calls,
        "reads": lambda: bench.both_stores(chosen.spans),
        "huge": lambda: bench.huge_run(50_000),
    }
    try:
        if not chosen.only or set(chosen.only) - {"agents", "library"}:
            say("start")
            bench.start_up()
        for name in chosen.only or steps:
            if name in steps:
                say(name)
                steps[name]()
    except BaseException:
        say(f"the server's last lines:\n{server.last_lines()}")
        raise
    finally:
        server.remove()
        say(table(bench.figures))
    return 0 if all(f.is_reached for f in bench.figures) else 1


if __name__ == "__main__":
    sys.exit(main())
