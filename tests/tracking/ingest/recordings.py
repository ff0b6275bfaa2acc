"""Payloads recorded from real agents, and what ran while they were recorded (tests/data/otlp)."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracking.ingest.counting import Verdict, count, facts
from tracking.ingest.decoded import Decoded
from tracking.ingest.normalise import normalise
from tracking.ingest.otlp import decode_json, decode_protobuf
from wflo.spans import Kind, Span, Status

FOLDER = Path(__file__).parents[2] / "data" / "otlp"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
SHORTFALLS: dict[str, dict[str, Any]] = json.loads((FOLDER / "shortfalls.json").read_text())
BUCKETS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
}
_DATE = re.compile(r"-20\d\d-\d\d-\d\d$")


def expected(case: str) -> dict[str, Any]:
    return json.loads((FOLDER / case / "expected.json").read_text())  # type: ignore[no-any-return]


def bodies(case: str, *, signal: str = "traces") -> list[tuple[str, bytes]]:
    """Name and body of each request, in the order they came."""
    found = []
    for path in sorted((FOLDER / case).glob(f"*.{signal}.*")):
        body = path.read_bytes()
        found.append((path.name, gzip.decompress(body) if path.suffix == ".gz" else body))
    return found


def raw_spans(case: str) -> list[Span]:
    spans: list[Span] = []
    for name, body in bodies(case):
        decoded: Decoded = decode_json(body) if ".json" in name else decode_protobuf(body)
        assert not decoded.rejected
        spans += decoded.spans
    return spans


def spans_of(case: str) -> list[Span]:
    spans, rejected = normalise(raw_spans(case))
    assert not rejected
    return spans


def model_of(span: Span) -> str:
    """The name without its date: emitters differ in whether they tell the model asked for or the one that answered."""
    return _DATE.sub("", span.model or "")


@dataclass
class Seen:
    """What a recording shows once each call is counted once."""

    calls: Counter[str] = field(default_factory=Counter)  # by model, answered
    failed: int = 0
    embeddings: int = 0
    tokens: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by model, by bucket
    tools: dict[str, list[int]] = field(default_factory=dict)  # calls, errors
    agents: set[str] = field(default_factory=set)


def seen(spans: list[Span]) -> Seen:
    runs: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        runs[span.trace_id].append(span)
    total = Seen()
    for run in runs.values():
        verdicts = count([facts(span) for span in run])
        for span in run:
            _add(total, span, verdicts[facts(span).span_id])
    return total


def _add(total: Seen, span: Span, verdict: Verdict) -> None:
    if verdict.agent:
        total.agents.add(verdict.agent)
    if not verdict.counted:
        return
    if span.kind is Kind.TOOL:
        ran = total.tools.setdefault(span.tool_name or "", [0, 0])
        ran[0] += 1
        ran[1] += span.status is Status.ERROR
    elif span.kind is Kind.EMBEDDING:
        total.embeddings += 1
    elif span.kind is Kind.LLM and span.status is Status.ERROR:
        total.failed += 1
        assert span.usage is None
    elif span.kind is Kind.LLM:
        total.calls[model_of(span)] += 1
        if span.usage is not None:
            for bucket, name in BUCKETS.items():
                total.tokens[model_of(span)][bucket] += getattr(span.usage, name) or 0
