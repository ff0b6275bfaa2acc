"""The drawer of one span: its facts, its bill line by line, its messages. From report values; no HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dashboards.messages import Spoken, SpokenPart, cut, spoken, written
from dashboards.waterfall import title_of
from tracking import pricing
from tracking.price_book import Entry
from tracking.reports.span import WholeSpan
from tracking.reports.spans import ReadSpan

EVENTS_SHOWN = 50
TOOLS_SHOWN = 60
_MILLION = Decimal(1_000_000)
_BUCKETS = {
    "input": "Input",
    "output": "Output",
    "cache_read": "Cached input",
    "cache_write": "Cache write",
    "cache_write_1h": "Cache write, 1 h",
    "reasoning": "Reasoning",
    "audio_in": "Audio in",
    "audio_out": "Audio out",
    "image_in": "Image in",
    "image_out": "Image out",
    "per_request": "Per call",
}


@dataclass(frozen=True, slots=True)
class BillLine:
    """``per`` is USD per million tokens, or per call."""

    name: str
    tokens: int
    per_usd: Decimal
    usd: Decimal
    is_per_call: bool = False


@dataclass(frozen=True, slots=True)
class BillShown:
    """``differs``: the prices known now do not give what was charged; a price was set since."""

    lines: list[BillLine] = field(default_factory=list)
    charged_usd: Decimal | None = None
    price: Entry | None = None
    notes: tuple[str, ...] = ()
    differs: bool = False

    @property
    def has_old_price(self) -> bool:
        """The bundled list's first prices hold from 1970 on, which is no date to show."""
        return self.price is not None and self.price.valid_from.year <= 1970


@dataclass(frozen=True, slots=True)
class SpanCard:
    span: ReadSpan
    title: str
    bill: BillShown | None
    input: list[Spoken]
    output: list[Spoken]
    asked: SpokenPart | None
    answered: SpokenPart | None
    events: list[tuple[str, str]]
    events_left: int
    links: list[dict[str, Any]]
    tools: list[str]
    tools_left: int
    notes: list[str]
    scope: str
    metadata: str


def span_card(team_id: int, whole: WholeSpan) -> SpanCard:
    span, said, entry = whole.span, whole.contents, whole.entry
    is_call = span.kind == "llm"
    events = [event for event in entry.get("events") or [] if isinstance(event, dict)]
    offers = [tool.name for tool in said.tools]
    metadata = entry.get("metadata")
    return SpanCard(
        span=span,
        title=title_of(span),
        bill=_bill(team_id, span),
        input=spoken(said.input) if is_call else [],
        output=spoken(said.output) if is_call else [],
        asked=None if is_call and said.input else _words(said.input_text),
        answered=None if is_call and said.output else _words(said.output_text),
        events=[_event(event) for event in events[:EVENTS_SHOWN]],
        events_left=max(len(events) - EVENTS_SHOWN, 0),
        links=[link for link in entry.get("links") or [] if isinstance(link, dict)],
        tools=offers[:TOOLS_SHOWN],
        tools_left=max(len(offers) - TOOLS_SHOWN, 0),
        notes=[str(note) for note in entry.get("notes") or []],
        scope=str(entry.get("scope") or ""),
        metadata=written(metadata) if metadata else "",
    )


def raw_json(whole: WholeSpan) -> SpokenPart:
    """Everything the span came with, indented."""
    return cut(written(whole.entry))


def _words(text: str) -> SpokenPart | None:
    return cut(written(text)) if text else None


def _event(event: dict[str, Any]) -> tuple[str, str]:
    attributes = event.get("attributes")
    return str(event.get("name") or "event"), cut(written(attributes)).text if attributes else ""


def _bill(team_id: int, span: ReadSpan) -> BillShown | None:
    """None for a span that owns no cost: no call, or counted elsewhere."""
    if not span.counted or span.cost_status == "none":
        return None
    model = span.model or span.requested_model or (f"tool/{span.tool_name}" if span.tool_name else "")
    if not model:
        return BillShown(charged_usd=span.cost_usd, notes=("The call named no model, so no price can be found.",))
    found = pricing.bill(
        team_id,
        usage=span.usage,
        model=model,
        provider=span.provider,
        at=span.started_at,
        is_sum=span.is_aggregate,
    )
    differs = found.cost.total != span.cost_usd
    lines = [
        BillLine(
            _BUCKETS.get(line.bucket, line.bucket),
            line.tokens,
            line.usd_per_token if line.bucket == "per_request" else line.usd_per_token * _MILLION,
            line.usd,
            line.bucket == "per_request",
        )
        for line in found.cost.lines
    ]
    return BillShown(lines, span.cost_usd, found.price, found.cost.notes, differs)
