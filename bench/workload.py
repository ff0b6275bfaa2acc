"""Agents at work, as OTLP: the same seed gives the same bytes. Some 20 spans and 1.4 kB of text a span."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

MODELS = (
    ("gpt-4o-mini", "openai"),
    ("gpt-4.1", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("gemini-2.5-flash", "google"),
)
AGENTS = ("triage", "reviewer", "planner", "extractor", "outreach")
HELPERS = ("retriever", "critic", "sql-writer", "summariser")
TOOLS = ("search_web", "read_file", "run_sql", "send_mail", "calculator", "fetch_page")
MS = 1_000_000


def _words() -> list[str]:
    rng = random.Random(11)
    return ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 10))) for _ in range(2000)]


_WORDS = _words()


def text(rng: random.Random, size: int) -> str:
    return " ".join(rng.choices(_WORDS, k=size // 6))[:size]


@dataclass(slots=True)
class Trace:
    """One run being made; ``spans`` come out in the order they ended, the root last."""

    rng: random.Random
    trace_id: bytes
    now: int
    spans: list[Span] = field(default_factory=list)
    tokens: int = 0

    def span(self, name: str, parent: bytes, took_ms: int, attributes: dict[str, Any], *, failed: bool = False) -> Span:
        span = Span(trace_id=self.trace_id, span_id=self.rng.randbytes(8), parent_span_id=parent, name=name)
        span.start_time_unix_nano, span.end_time_unix_nano = self.now, self.now + took_ms * MS
        span.status.code = Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_OK
        put(span.attributes, attributes)
        self.spans.append(span)
        return span

    def call(self, parent: bytes, agent: str) -> None:
        rng = self.rng
        model, provider = rng.choice(MODELS)
        tokens = rng.randint(300, 4000), rng.randint(40, 700)
        self.tokens += sum(tokens)
        span = self.span(f"chat {model}", parent, rng.randint(300, 4000), {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.agent.name": agent,
            "gen_ai.request.model": model, "gen_ai.response.model": model, "gen_ai.request.temperature": 0.2,
            "gen_ai.response.id": f"resp_{rng.randbytes(9).hex()}",
            "gen_ai.usage.input_tokens": tokens[0], "gen_ai.usage.output_tokens": tokens[1],
            "gen_ai.usage.cache_read.input_tokens": tokens[0] // 3,
            "gen_ai.input.messages": message("user", text(rng, 1100)),
            "gen_ai.output.messages": message("assistant", text(rng, 450)),
        })  # fmt: skip
        self.now = span.end_time_unix_nano + 2 * MS

    def tool(self, parent: bytes, agent: str) -> None:
        rng = self.rng
        name = rng.choice(TOOLS)
        span = self.span(f"execute_tool {name}", parent, rng.randint(10, 900), {
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.agent.name": agent,
            "gen_ai.tool.call.id": f"call_{rng.randbytes(6).hex()}",
            "gen_ai.tool.call.arguments": json.dumps({"q": text(rng, 90)}),
            "gen_ai.tool.call.result": json.dumps({"text": text(rng, 350)}),
        }, failed=rng.random() < 0.03)  # fmt: skip
        self.now = span.end_time_unix_nano + MS

    def agent(self, name: str, parent: bytes, turns: int, helpers: int) -> None:
        rng = self.rng
        began, own = self.now, rng.randbytes(8)
        for turn in range(turns):
            self.call(own, name)
            for _ in range(rng.choice((0, 1, 1, 2))):
                self.tool(own, name)
            if turn < helpers:
                self.agent(rng.choice(HELPERS), own, rng.choice((2, 2, 3)), 0)
        ended, self.now = self.now, began
        span = self.span(f"invoke_agent {name}", parent, (ended - began) // MS, {
            "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, "user.id": f"user-{rng.randint(0, 90)}",
            "session.id": f"session-{rng.randint(0, 5000)}", "input.value": text(rng, 200), "output.value": text(rng, 200),
        })  # fmt: skip
        span.span_id = own
        self.now = ended


def put(target: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        pair = target.add()
        pair.key = key
        if isinstance(value, float):
            pair.value.double_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value


def message(role: str, content: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": content}]}])


def traces(seed: int, spans: int, end_ns: int, days: float) -> Iterator[Trace]:
    """Runs of about ``spans`` spans together, evenly over the ``days`` before ``end_ns``."""
    made, number = 0, 0
    about = max(1, spans // 20)
    while made < spans:
        rng = random.Random(f"{seed}:{number}")
        ago = int(days * 86_400e9 * (1 - (number % about) / about)) + 120 * 10**9
        trace = Trace(rng, rng.randbytes(16), end_ns - ago)
        trace.agent(AGENTS[number % len(AGENTS)], b"", rng.choice((4, 4, 5)), rng.choice((1, 2, 2)))
        made += len(trace.spans)
        number += 1
        yield trace


def body(spans: list[Span]) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    put(resource.resource.attributes, {"service.name": "bench", "deployment.environment.name": "bench"})
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    scope.spans.extend(spans)
    return request.SerializeToString()


def bodies(made: Iterator[Trace], *, batch: int) -> Iterator[tuple[bytes, int]]:
    """Request bodies and their span counts: a trace each, or every ``batch`` spans."""
    waiting: list[Span] = []
    for trace in made:
        if not batch:
            yield body(trace.spans), len(trace.spans)
            continue
        waiting += trace.spans
        while len(waiting) >= batch:
            yield body(waiting[:batch]), batch
            waiting = waiting[batch:]
    if waiting:
        yield body(waiting), len(waiting)
