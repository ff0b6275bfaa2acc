"""A hundred thousand spans in one go by OpenTelemetry's own SDK, while a neighbour's bursts leave no room for them."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import requests
from django.db.models import Count, Q, Sum
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.journeys.crowd import INPUT_USD, MODEL, OUTPUT_USD, SpanId, Sums
from tests.make import make_key, make_team
from tests.server import running_server
from tests.tracking.ingest.otlp_bodies import protobuf, span
from tracking import invariants, pricing
from tracking.codes import KIND_CODES, span_int
from tracking.models import Run, Span, Team
from wflo.spans import Kind
from wflo_site.processes import wait_until

EXPORTERS, RUNS_EACH, CALLS, TOOLS = 4, 500, 33, 16
SPANS_EACH = RUNS_EACH * (1 + CALLS + TOOLS)
STEPS: list[dict[str, Any]] = [
    {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": 1_000 + number, "gen_ai.usage.output_tokens": 10 + number,
    }
    for number in range(CALLS)
] + [{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": f"tool {number}"} for number in range(TOOLS)]  # fmt: skip
BURST_SPANS = 1_600  # with one batch of 512 beside it the room of tests/little_room.py is full
BATCHES_BETWEEN = 25
ENOUGH_REFUSALS = 4  # an exporter gives a batch up at the sixth; were it always the same, it would still come through
FEW_SECONDS, GIVE_UP_SECONDS = 10, 120  # there may be no more; nobody waits so long for room
FULL = ("2", "More spans are waiting to be written than this process may hold.")
BUSY = ("2", "The store is away or busy. Nothing was kept: send it again in a moment.")  # on a machine with much to do
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def team(transactional_db: None) -> Team:
    pricing.load_bundled()
    return make_team("Senders")


@pytest.fixture
def url(team: Team, tmp_path: Path) -> Iterator[str]:
    with running_server(tmp_path, app="tests.little_room:application") as server:
        yield server.url


@dataclass(slots=True)
class Heard:
    """What the exporters were answered; of every 503 its Retry-After and its reason."""

    statuses: Counter[int] = field(default_factory=Counter)
    refusals: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def session(self) -> requests.Session:
        """For an exporter; each answer is written down as it passes."""
        session = requests.Session()
        session.hooks["response"].append(self._note)
        return session

    def _note(self, answer: requests.Response, *_: object, **__: object) -> None:
        with self._lock:
            self.statuses[answer.status_code] += 1
            if answer.status_code == 503:
                reason = RpcStatus.FromString(answer.content).message
                self.refusals.add((answer.headers.get("Retry-After", "none"), reason))

    def more_is_taken(self, batches: int) -> None:
        enough = self.statuses[200] + batches
        wait_until(lambda: self.statuses[200] >= enough, seconds=FEW_SECONDS)


def a_provider(url: str, key: str, name: str, heard: Heard) -> TracerProvider:
    """As programs set it up, but for a queue that holds all of its spans: the SDK drops what it has no place for."""
    exporter = OTLPSpanExporter(
        f"{url}/v1/traces",
        headers={"authorization": f"Bearer {key}"},
        compression=Compression.Gzip,
        timeout=60,
        session=heard.session(),
    )
    provider = TracerProvider(resource=Resource({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=SPANS_EACH))
    return provider


def an_agent_works(url: str, key: str, name: str, heard: Heard) -> set[SpanId]:
    """All its runs at once, through an exporter of its own; the spans it made."""
    provider = a_provider(url, key, name, heard)
    tracer = provider.get_tracer("tests")
    made: set[SpanId] = set()
    for _ in range(RUNS_EACH):
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        with tracer.start_as_current_span("invoke_agent", attributes=attributes) as root:
            steps = [tracer.start_span(step["gen_ai.operation.name"], attributes=step) for step in STEPS]
        for one in steps:
            one.end()
        made.update(id_of(one) for one in (root, *steps))
    provider.force_flush()
    provider.shutdown()
    return made


def id_of(one: Any) -> SpanId:
    context = one.get_span_context()
    return UUID(int=context.trace_id), span_int(f"{context.span_id:016x}")


def burst(url: str, key: str) -> None:
    """A neighbour's request that fills the room; sent until there is room for it."""
    trace, now = uuid4().hex, time.time_ns()
    spans = [
        span(trace_id=trace, span_id=f"{number:016x}", name="step", started_ns=now, ended_ns=now)
        for number in range(1, BURST_SPANS + 1)
    ]
    body = gzip.compress(protobuf(spans), 1)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/x-protobuf", "content-encoding": "gzip"}
    with httpx.Client(timeout=60) as client:
        assert wait_until(
            lambda: client.post(f"{url}/v1/traces", content=body, headers=headers).status_code == 200,
            seconds=GIVE_UP_SECONDS,
        )


def told() -> Sums:
    runs = EXPORTERS * RUNS_EACH
    tokens_in, tokens_out = (
        runs * sum(step.get(f"gen_ai.usage.{side}_tokens", 0) for step in STEPS) for side in ("input", "output")
    )
    return Sums(
        spans=EXPORTERS * SPANS_EACH,
        llm_calls=runs * CALLS,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=tokens_in * INPUT_USD + tokens_out * OUTPUT_USD,
    )


def stored(url: str, team: Team, key: str) -> dict[str, Sums]:
    """The same figures as three places tell them: spans, runs, and usage through the API."""
    names = ("input_tokens", "output_tokens", "cost_usd")
    is_call = Q(kind=KIND_CODES[Kind.LLM], counted=True)
    sums = {name: Sum(name) for name in names}
    spans = Span.objects.filter(team=team).aggregate(
        spans=Count("span_id"), llm_calls=Count("span_id", filter=is_call), **sums
    )
    runs = Run.objects.filter(team=team).aggregate(spans=Sum("span_count"), calls=Sum("llm_calls"), **sums)
    runs["llm_calls"] = runs.pop("calls")
    now = datetime.now(UTC)
    asked = {"from": (now - timedelta(hours=3)).isoformat(), "to": (now + timedelta(hours=3)).isoformat()}
    headers = {"authorization": f"Bearer {key}"}
    answer = httpx.get(f"{url}/api/v1/usage", params={**asked, "group_by": "model"}, headers=headers, timeout=60)
    usage = answer.json(parse_float=Decimal)["totals"]
    places = {"spans": spans, "runs": runs, "usage": usage}
    return {
        place: Sums(**{name: found[name] for name in ("spans", "llm_calls", *names)}) for place, found in places.items()
    }


def test_the_sdk_loses_nothing_of_a_hundred_thousand_though_it_is_told_to_wait(url: str, team: Team) -> None:
    """I50, I36, I37: every span once and every sum exact, after answers of 503 that a full room gave, or a busy store."""
    heard, neighbours, bursts = Heard(), make_team("Neighbours"), 0
    _, key = make_key(team)
    _, their_key = make_key(neighbours)
    with ThreadPoolExecutor(EXPORTERS) as pool:
        work = [pool.submit(an_agent_works, url, key, f"agent {number}", heard) for number in range(EXPORTERS)]
        while heard.statuses[503] < ENOUGH_REFUSALS and not all(one.done() for one in work):
            heard.more_is_taken(BATCHES_BETWEEN)
            burst(url, their_key)
            bursts += 1
        made = set[SpanId]().union(*(one.result() for one in work))

    print(dict(heard.statuses), bursts)  # noqa: T201  shown when the test fails
    assert len(made) == EXPORTERS * SPANS_EACH == 100_000
    assert set(heard.statuses) == {200, 503}
    assert FULL in heard.refusals
    assert heard.refusals <= {FULL, BUSY}
    rows = list(Span.objects.filter(team=team).values_list("trace_id", "span_id"))
    assert (len(rows), len(made - set(rows)), len(set(rows) - made)) == (100_000, 0, 0)
    assert stored(url, team, key) == dict.fromkeys(("spans", "runs", "usage"), told())
    assert Span.objects.filter(team=neighbours).count() == bursts * BURST_SPANS
    assert invariants.check(team.pk) == []
