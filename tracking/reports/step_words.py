"""What steps were asked and what they answered: marks to tell the same words from others, and two steps' words side by side.

Words are in the payloads of spans, which are read for the steps that are compared by them, and no others.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson
from django.conf import settings
from django.db import connection

from tracking.checkpoints.difference import CHANGES_MAX, difference
from tracking.ingest.messages import Message
from tracking.models import Payload
from tracking.reports.run_steps import Key, Step
from tracking.reports.span import WholeSpan, whole_spans
from tracking.reports.text_difference import CHARACTERS_MAX, Line, text_difference
from tracking.reports.transcript import marked
from wflo.spans import Kind


@dataclass(frozen=True, slots=True)
class Marks:
    """Equal for the same words; where words were not read, or not sent, the numbers of tokens stand for them."""

    input: Hashable
    output: Hashable


@dataclass(frozen=True, slots=True)
class Part:
    """A part of two steps side by side: ``asked``, ``answered``, ``calls``. One of ``lines`` (texts) and ``changes`` (JSON) says
    what differs; neither does where ``is_same``. ``text`` is the one there is, where both are the same or only one side has it.
    """

    name: str
    lines: list[Line] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    is_same: bool = False
    is_cut: bool = False


def are_few(team_id: int, steps: Sequence[Step]) -> bool:
    """Whether the words of all these may be read at once: LIMITS["compare_texts"] and ["compare_text_bytes"]."""
    if len(steps) > settings.LIMITS["compare_texts"]:
        return False
    if not steps:
        return True
    with connection.cursor() as db:
        db.execute(
            "SELECT coalesce(sum(octet_length(body)), 0) FROM tracking_payload"
            " WHERE team_id = %s AND day = ANY(%s) AND trace_id = ANY(%s) AND (kind = %s OR chunk = ANY(%s))",
            [
                team_id,
                sorted({step.span.day for step in steps}),
                sorted({step.span.trace_id for step in steps}),
                Payload.Kind.LOGS,
                sorted({step.span.chunk for step in steps}),
            ],
        )
        return int(db.fetchone()[0]) <= settings.LIMITS["compare_text_bytes"]


def marks_by_words(team_id: int, steps: Sequence[Step]) -> dict[Key, Marks]:
    once = list({step.key: step for step in steps}.values())
    whole = whole_spans(team_id, [step.span for step in once])
    return {step.key: _marks(step, one) for step, one in zip(once, whole, strict=True)}


def marks_by_tokens(steps: Sequence[Step]) -> dict[Key, Marks]:
    return {step.key: Marks(step.span.input_tokens, step.span.output_tokens) for step in steps}


def _marks(step: Step, whole: WholeSpan) -> Marks:
    said = whole.contents
    return Marks(
        _mark(said.input, said.input_text) or step.span.input_tokens,
        _mark(said.output, said.output_text) or step.span.output_tokens,
    )


def _mark(messages: Sequence[Message], text: str) -> bytes:
    """Empty where there is nothing."""
    parts = [mark for _, mark in marked(messages)] or ([_plain(text).encode("utf-8", "replace")] if text else [])
    return blake2b(b"\0".join(parts), digest_size=16).digest() if parts else b""


def _plain(text: str) -> str:
    """JSON with its names in order, however it was written; any other text as it is."""
    value = _json(text)
    return text.strip() if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _json(text: str) -> Any:
    """An object or an array; None for anything else, and for one that is nested too deep to be written again."""
    stripped = text.strip()
    if stripped[:1] not in ("{", "["):
        return None
    try:
        value = orjson.loads(stripped)
        orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return value


# --- two steps side by side -------------------------------------------------------------------------------------------


def side_by_side(team_id: int, one: Step | None, other: Step | None) -> list[Part]:
    """What was asked, what was answered and which tools were called, in that order; parts that neither has are left out."""
    steps = list({step.key: step for step in (one, other) if step is not None}.values())
    whole = {
        step.key: span for step, span in zip(steps, whole_spans(team_id, [step.span for step in steps]), strict=True)
    }
    mine = _words(whole[one.key]) if one is not None else {}
    theirs = _words(whole[other.key]) if other is not None else {}
    names = list(dict.fromkeys([*mine, *theirs]))
    return [_part(name, mine.get(name), theirs.get(name)) for name in sorted(names, key=_ORDER.index)]


_ORDER = ("asked", "calls", "answered")


def _words(whole: WholeSpan) -> dict[str, str]:
    said = whole.contents
    if whole.span.kind is not Kind.LLM or not (said.input or said.output):
        return {name: text for name, text in (("asked", said.input_text), ("answered", said.output_text)) if text}
    calls = [
        {"name": part.get("name"), "arguments": _value(part.get("arguments"))}
        for message in said.output
        for part in message.parts
        if part["type"] == "tool_call"
    ]
    found = {
        "asked": "\n".join(_spoken(message) for message in said.input),
        "calls": _written(calls) if calls else "",
        "answered": "\n".join(message.text for message in said.output if message.text),
    }
    return {name: text for name, text in found.items() if text}


def _spoken(message: Message) -> str:
    words = [f"{message.role}:"]
    for part in message.parts:
        if part["type"] in ("text", "reasoning"):
            words.append(str(part.get("text") or ""))
        else:
            words.append(_written({name: _value(value) for name, value in part.items() if name not in ("type", "id")}))
    return "\n".join(words)


def _value(value: Any) -> Any:
    """Arguments are JSON in a text now and then."""
    inner = _json(value) if isinstance(value, str) else None
    return value if inner is None else inner


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        return "(nested too deep to be written)"


def _part(name: str, one: str | None, other: str | None) -> Part:
    if one is None or other is None:
        text = one or other or ""
        return Part(name, text=_read(text)[:CHARACTERS_MAX], is_cut=len(text) > CHARACTERS_MAX)
    if _plain(one) == _plain(other):
        return Part(name, text=_read(one)[:CHARACTERS_MAX], is_same=True, is_cut=len(one) > CHARACTERS_MAX)
    is_cut = max(len(one), len(other)) > CHARACTERS_MAX
    mine, theirs = _json(one), _json(other)
    if mine is not None and theirs is not None and type(mine) is type(theirs):
        changes = difference(mine, theirs)
        if changes:
            return Part(name, changes=changes, is_cut=len(changes) >= CHANGES_MAX)
    return Part(name, lines=text_difference(_read(one), _read(other)), is_cut=is_cut)


def _read(text: str) -> str:
    value = _json(text)
    return text if value is None else _written(value)
