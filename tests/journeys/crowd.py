"""Many senders at once, and what each was told: the oracle of the crash tests.

Every request carries spans that no other does, so it is in the store whole or not at all. Requests of one run are sent
side by side. One that fails is sent again, as an exporter does, or given up; some that were taken are sent twice.
"""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import httpx

from tests.tracking.ingest.otlp_bodies import protobuf, span
from tracking.codes import span_int

MODEL, INPUT_USD, OUTPUT_USD = "gpt-4o-mini", Decimal("0.00000015"), Decimal("0.0000006")
SENDERS = 6
REQUESTS_PER_RUN, CALLS_PER_REQUEST = 4, 30
GIVEN_UP, SENT_TWICE = 0.3, 0.1  # shares of the failed, and of the taken

SpanId = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Sums:
    """Of spans as they were told, or as they are stored."""

    spans: int
    llm_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal


@dataclass(slots=True)
class Request:
    """One body, and whether a sender was told that it is kept."""

    body: bytes
    spans: frozenset[SpanId]
    calls: int
    input_tokens: int
    output_tokens: int
    is_kept: bool = False


def sums(requests: list[Request]) -> Sums:
    tokens_in, tokens_out = sum(r.input_tokens for r in requests), sum(r.output_tokens for r in requests)
    return Sums(
        spans=sum(len(r.spans) for r in requests),
        llm_calls=sum(r.calls for r in requests),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=tokens_in * INPUT_USD + tokens_out * OUTPUT_USD,
    )


def a_run(rng: random.Random) -> list[Request]:
    """An agent and its calls, cut into requests in an order of their own."""
    trace, now = f"{rng.getrandbits(128) | 1:032x}", time.time_ns()
    ids = [f"{rng.getrandbits(64) | 1:016x}" for _ in range(1 + REQUESTS_PER_RUN * CALLS_PER_REQUEST)]
    root = span(
        trace_id=trace, span_id=ids[0], name="agent", started_ns=now, ended_ns=now + 10**9,
        attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": f"agent {rng.randrange(5)}"},
    )  # fmt: skip
    calls = []
    for number, span_id in enumerate(ids[1:]):
        tokens = {"input": rng.randrange(1, 9_000), "output": rng.randrange(1, 900)}
        calls.append(
            span(
                trace_id=trace, span_id=span_id, parent_id=ids[0], name="chat",
                started_ns=now + number * 10**6, ended_ns=now + (number + 1) * 10**6,
                attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL,
                            **{f"gen_ai.usage.{what}_tokens": n for what, n in tokens.items()}},
            )
        )  # fmt: skip
    told = [root, *calls]
    rng.shuffle(told)
    size = -(-len(told) // REQUESTS_PER_RUN)
    return [_request(told[at : at + size]) for at in range(0, len(told), size)]


def _request(spans: list[dict[str, object]]) -> Request:
    tokens = Counter[str]()
    calls = 0
    for one in spans:
        attributes = one["attributes"]
        assert isinstance(attributes, dict)
        calls += "gen_ai.request.model" in attributes
        for what in ("input", "output"):
            tokens[what] += attributes.get(f"gen_ai.usage.{what}_tokens", 0)
    return Request(
        gzip.compress(protobuf(spans), 1),
        frozenset((UUID(hex=str(one["trace_id"])), span_int(str(one["span_id"]))) for one in spans),
        calls, tokens["input"], tokens["output"],
    )  # fmt: skip


@dataclass(slots=True)
class Crowd:
    """``with``: sends until the block ends. ``waits`` are the Retry-After of every 503."""

    url: str
    key: str
    rng: random.Random
    told: list[Request] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    waits: list[str] = field(default_factory=list)
    _waiting: deque[Request] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Crowd:
        for number in range(SENDERS):
            thread = threading.Thread(target=self._send, args=(random.Random(self.rng.getrandbits(64)),))
            self._threads.append(thread)
            thread.name = f"sender {number}"
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def kept(self) -> list[Request]:
        return [request for request in self.told if request.is_kept]

    def post(self, client: httpx.Client, request: Request) -> bool:
        """Whether it was answered 200. Writes down how else it ended."""
        headers = {
            "authorization": f"Bearer {self.key}",
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
        }
        try:
            answer = client.post(f"{self.url}/v1/traces", content=request.body, headers=headers)
        except httpx.HTTPError as error:
            with self._lock:
                self.statuses[type(error).__name__] += 1
            return False
        with self._lock:
            self.statuses[str(answer.status_code)] += 1
            if answer.status_code == 503:
                self.waits.append(answer.headers.get("retry-after", "none"))
            request.is_kept = request.is_kept or answer.status_code == 200
        return answer.status_code == 200

    def _send(self, rng: random.Random) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._is_over.is_set():
                request = self._next(rng)
                if self.post(client, request):
                    if rng.random() < SENT_TWICE:
                        self.post(client, request)
                else:
                    self._is_over.wait(0.1)
                    if rng.random() > GIVEN_UP:
                        with self._lock:
                            self._waiting.append(request)

    def _next(self, rng: random.Random) -> Request:
        """The next to send; a run more when none waits."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
        made = a_run(rng)
        with self._lock:
            self.told.extend(made)
            self._waiting.extend(made[1:])
        return made[0]
