"""Which spans of a run are real calls, and which agent each step belongs to.

One model call is often reported by two libraries at once, nested or side by side, and wrappers repeat the sum of what
they wrap. ``count`` looks at all spans of a run together and says which of them stand for a call. It is a pure function
of the set of spans: order, retries and how the run was cut into requests make no difference.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from hashlib import blake2b
from typing import NamedTuple

from tracking.codes import span_int
from wflo.spans import Kind, Span, Status

SAME_START_NS = 50_000_000  # two reports of one call begin within this of each other

CALLS = frozenset({Kind.LLM, Kind.EMBEDDING, Kind.RERANKER, Kind.TOOL})
# Between two nested calls, these mean that the inner one is a call of its own: work the outer one caused.
BARRIERS = frozenset(
    {Kind.AGENT, Kind.TOOL, Kind.LLM, Kind.EMBEDDING, Kind.RETRIEVER, Kind.GUARDRAIL, Kind.RERANKER, Kind.EVALUATOR}
)
GATEWAY = "wflo-gateway"  # Wflo's own: each of its spans is a call it made
ACCOUNTING = "ag2-accounting"
LITELLM_RAW = "litellm-raw"  # what a provider was sent and answered: counts where no better report is round it
LOGFIRE_STREAM = "logfire-stream"  # the log at the end of a stream: begins where the call's own span ended
OPENLLMETRY = "openllmetry"  # and what begins so
# One library tells the model asked for, another the one that answered: the same name with its date.
_DATE = re.compile(r"[-@]20\d\d-?\d\d-?\d\d$")


class SpanFacts(NamedTuple):
    """What counting needs of one span; made of a fresh span (``facts``) or of a stored row."""

    span_id: int  # as stored: signed 64 bit
    parent_id: int | None
    kind: Kind
    convention: str
    own_agent: str | None
    tool_name: str | None
    model: str | None  # the one that answered, else the one asked for
    input_tokens: int | None
    output_tokens: int | None
    call_key: int | None  # ``call_key``: stored as response_key
    started_ns: int
    ended_ns: int | None
    is_error: bool
    is_aggregate: bool
    is_declaration: bool

    @property
    def is_known(self) -> bool:
        return self.input_tokens is not None or self.output_tokens is not None

    @property
    def is_telling(self) -> bool:
        """Whether it says more than a report that only says that there was a call: its tokens, or, of a tool, that it
        failed. What a framework catches of a tool's error it does not always tell."""
        if self.convention == LITELLM_RAW:
            return False
        return self.is_error if self.kind is Kind.TOOL else self.is_known


class Verdict(NamedTuple):
    """``counted``: this span stands for one call (LLM, embedding, reranker, tool), or, with ``is_aggregate_used``, its
    usage enters the sums although it is no call: the run has no better figure. ``agent`` is who it is charged to."""

    agent: str | None
    counted: bool
    is_aggregate_used: bool = False


def call_key(span: Span) -> int | None:
    """A stable 64-bit number of the provider's response id, or of a tool span's call id."""
    identity = span.tool_call_id if span.kind is Kind.TOOL else span.response_id
    if not identity:
        return None
    digest = blake2b(identity.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def facts(span: Span) -> SpanFacts:
    usage = span.usage
    return SpanFacts(
        span_int(span.span_id),
        span_int(span.parent_id) if span.parent_id else None,
        span.kind,
        span.convention,
        span.agent,
        span.tool_name,
        span.model or span.requested_model,
        usage.input_tokens if usage else None,
        usage.output_tokens if usage else None,
        call_key(span),
        span.started_ns,
        span.ended_ns,
        span.status is Status.ERROR,
        span.is_aggregate,
        span.is_declaration,
    )


def count(spans: Iterable[SpanFacts], *, has_known_call: bool = False) -> dict[int, Verdict]:
    """A verdict for every span of ONE run, by span id. O(n log n); parents may be missing, own children, or circular.

    ``has_known_call``: the run has model calls of known tokens beside ``spans``, which are then a part of it.
    """
    by_id = {span.span_id: span for span in sorted(spans, key=_order)}
    agents, above = _walk(by_id)
    counted = _outermost_or_known(by_id, above)
    counted -= _reported_twice([by_id[span_id] for span_id in counted])
    aggregates: set[int] = set()
    if not has_known_call and not any(by_id[i].is_known and by_id[i].kind is Kind.LLM for i in counted):
        aggregates = _aggregates(by_id)
    return {
        span_id: Verdict(agents[span_id], span_id in counted or span_id in aggregates, span_id in aggregates)
        for span_id in by_id
    }


def _order(span: SpanFacts) -> tuple[int, int]:
    return span.started_ns, span.span_id


def _walk(by_id: dict[int, SpanFacts]) -> tuple[dict[int, str | None], dict[int, int | None]]:
    """For each span its agent (its own, else the nearest above), and the nearest enclosing call of the same kind.

    Iterative with a path, since chains may be 50,000 deep. In a cycle the edge that would close it is cut: spans come
    in a fixed order, so always the same edge.
    """
    agents: dict[int, str | None] = {}
    around: dict[int, int | None] = {}  # nearest call or barrier, itself included
    above: dict[int, int | None] = {}
    for first in by_id:
        path: list[SpanFacts] = []
        on_path: set[int] = set()
        at: int | None = first
        while at is not None and at in by_id and at not in agents and at not in on_path:
            span = by_id[at]
            path.append(span)
            on_path.add(at)
            at = span.parent_id
        known = at is not None and at in agents
        agent, enclosing = (agents[at], around[at]) if known and at is not None else (None, None)
        for span in reversed(path):
            agent = span.own_agent or agent
            agents[span.span_id] = agent
            if span.kind in CALLS:
                is_again = enclosing is not None and is_same_call(by_id[enclosing], span)
                above[span.span_id] = enclosing if is_again else None
            if span.kind in BARRIERS:
                enclosing = span.span_id
            around[span.span_id] = enclosing
    return agents, above


def is_same_call(outer: SpanFacts, inner: SpanFacts) -> bool:
    """Whether ``inner``, with nothing but chains between it and ``outer``, is the same call told once more."""
    if outer.kind is not inner.kind or outer.is_aggregate:
        return False
    if inner.kind is not Kind.TOOL:
        return True
    return outer.tool_name == inner.tool_name or (outer.call_key is not None and outer.call_key == inner.call_key)


def _outermost_or_known(by_id: dict[int, SpanFacts], above: dict[int, int | None]) -> set[int]:
    """Of calls that nest, the innermost that knows its tokens (of tools: that failed); when none does, the outermost."""
    has_known_below: set[int] = set()
    for span_id, outer in above.items():
        if outer is None or not by_id[span_id].is_telling:
            continue
        while outer is not None and outer not in has_known_below:
            has_known_below.add(outer)
            outer = above[outer]
    counted: set[int] = set()
    for span_id, outer in above.items():
        span = by_id[span_id]
        if span.is_aggregate or span.is_declaration or span_id in has_known_below:
            continue
        # Counted below an outer call only when every call around it gave way to something known.
        if outer is None or outer in has_known_below:
            counted.add(span_id)
    return counted


def _reported_twice(calls: list[SpanFacts]) -> set[int]:
    """Calls told side by side by two libraries: all but the best report of each."""
    dropped: set[int] = set()
    keyed = [call for call in calls if call.call_key is not None]
    if len({(call.kind, call.tool_name, call.call_key) for call in keyed}) < len(keyed):
        by_key: dict[Hashable, list[SpanFacts]] = defaultdict(list)
        for call in keyed:
            by_key[call.kind, call.tool_name, call.call_key].append(call)
        for group in by_key.values():
            if len(group) > 1:
                dropped |= _one_response(group)
    if len({call.convention for call in calls if call.kind is not Kind.TOOL}) < 2:
        return dropped  # the ordinary case: one library tells of all models
    siblings: dict[Hashable, dict[str, list[SpanFacts]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        if call.kind is not Kind.TOOL and call.span_id not in dropped:
            siblings[call.parent_id, call.kind, _DATE.sub("", (call.model or "").lower())][call.convention].append(call)
    for reports in siblings.values():
        if len(reports) > 1:
            dropped |= _one_of_pairs(reports)
    return dropped


def _one_response(group: list[SpanFacts]) -> set[int]:
    """Spans with one response id (or tool call id): those that overlap, or say the same in two conventions, are one call.

    The id alone is not enough: some local servers draw ids from a small range, and a tool may run again for one call.
    """
    group.sort(key=_order)
    dropped: set[int] = set()
    kept = group[0]
    for call in group[1:]:
        if kept.convention == call.convention == GATEWAY:
            kept = call
            continue
        is_told_otherwise = kept.convention != call.convention  # one library tells a call once
        if _overlap(kept, call) or (
            is_told_otherwise and call.kind is not Kind.TOOL and _same_tokens_or_unknown(kept, call)
        ):
            better, worse = (kept, call) if _rank(kept) <= _rank(call) else (call, kept)
            dropped.add(worse.span_id)
            kept = better
        else:
            kept = call
    return dropped


def _one_of_pairs(reports: dict[str, list[SpanFacts]]) -> set[int]:
    """Siblings of one model told in different conventions: matched in the order they began, one to one."""
    dropped: set[int] = set()
    conventions = sorted(reports)
    kept = sorted(reports[conventions[0]], key=_order)
    for convention in conventions[1:]:
        others = sorted(reports[convention], key=_order)
        merged: list[SpanFacts] = []
        i = j = 0
        while i < len(kept) and j < len(others):
            a, b = kept[i], others[j]
            if _is_pair(a, b):
                better, worse = (a, b) if _rank(a) <= _rank(b) else (b, a)
                dropped.add(worse.span_id)
                merged.append(better)
                i, j = i + 1, j + 1
            elif _order(a) <= _order(b):
                merged.append(a)
                i += 1
            else:
                merged.append(b)
                j += 1
        kept = merged + kept[i:] + others[j:]
    return dropped


def _is_pair(a: SpanFacts, b: SpanFacts) -> bool:
    if a.call_key is not None and b.call_key is not None:
        return False  # had they been the same response, the id would have joined them
    if a.is_known and b.is_known:
        return (a.input_tokens, a.output_tokens) == (b.input_tokens, b.output_tokens) and _overlap(a, b)
    if LOGFIRE_STREAM in (a.convention, b.convention):
        return a.is_error == b.is_error and _overlap(a, b)
    return a.is_error == b.is_error and abs(a.started_ns - b.started_ns) <= SAME_START_NS


def _same_tokens_or_unknown(a: SpanFacts, b: SpanFacts) -> bool:
    if not (a.is_known and b.is_known):
        return True
    return (a.input_tokens, a.output_tokens) == (b.input_tokens, b.output_tokens)


def _overlap(a: SpanFacts, b: SpanFacts) -> bool:
    a_end = max(a.ended_ns or a.started_ns, a.started_ns) + SAME_START_NS
    b_end = max(b.ended_ns or b.started_ns, b.started_ns) + SAME_START_NS
    return a.started_ns <= b_end and b.started_ns <= a_end


def _rank(call: SpanFacts) -> tuple[bool, bool, bool, int, int]:
    """The best report first: tokens known; not OpenLLMetry, whose Anthropic streams count a token too many; with an
    id."""
    is_doubtful = call.convention.startswith(OPENLLMETRY)
    return not call.is_known, is_doubtful, call.call_key is None, call.started_ns, call.span_id


def _aggregates(by_id: dict[int, SpanFacts]) -> set[int]:
    """The outermost spans that repeat a sum: used when no model call of the run knows its tokens."""
    sums = {
        span.span_id
        for span in by_id.values()
        if span.is_known and span.kind not in CALLS and not span.is_declaration and span.convention != ACCOUNTING
    }
    if len(sums) < 2:
        return sums
    outermost: set[int] = set()
    is_below: dict[int, bool] = {}  # whether the span, or one above it, is such a sum
    for span_id in by_id:
        path: list[int] = []
        on_path: set[int] = set()
        at: int | None = span_id
        while at is not None and at in by_id and at not in is_below and at not in on_path:
            path.append(at)
            on_path.add(at)
            at = by_id[at].parent_id
        below = is_below.get(at, False) if at is not None else False
        for step in reversed(path):
            if step in sums and not below:
                outermost.add(step)
            below = below or step in sums
            is_below[step] = below
    return outermost
