"""What the loop detector is told: steps of a run as hashes, never as texts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from wflo.loops import text as text
from wflo.loops.outcomes import Outcome, outcome_of
from wflo.loops.text import Sketch
from wflo.spans import Kind

ARGUMENT_WORDS_MIN = 3  # fewer words of arguments are an id, not a search


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: hashes of its arguments and of its answer. ``error`` is set on failures: what failed,
    without what differs from try to try."""

    name: str
    arguments: str
    result: str
    outcome: Outcome
    words: Sketch = ()  # of the arguments, where it found nothing or failed
    error: str = ""
    key: str = ""  # of all of it


Round = tuple[Call, ...]  # what one answer of the model asked for, in parallel or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """One request to a model: hashes of the whole of it and of its turn, that is of all that came after the last answer
    in words: what was said, the calls of tools and their answers.

    ``request`` is lower case and trimmed; ``plain`` also lacks the turn's punctuation; ``turn`` lacks the history and
    nonces; ``shape`` lacks ids as well. ``topic`` is what the turn began with.
    """

    system: str
    request: str
    plain: str
    turn: str
    shape: str
    topic: str
    words: Sketch = ()  # of the turn, if it is nothing but words
    depth: int = 1  # messages
    rounds: tuple[Round, ...] = ()  # the last of the turn, oldest first
    round_count: int = 0  # all of the turn
    samples: int = 1  # answers asked for in one call
    is_patient: bool = False  # the turn says "not yet"
    tells_failure: bool = False  # in words: "Observation: Error ..."
    may_wait: bool = False  # what the turn began with asks for patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of a model: of words, or of calls."""

    key: str
    words: Sketch = ()
    word_count: int = 0
    calls: tuple[str, ...] = ()  # names of the tools it calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run, in the order of their starts: a call of a model (with ``fingerprint``) or of a tool (``call``).

    A step without either cannot be compared: it is counted and paid for, and repeats nothing. ``agent`` is who has one talk
    at a time; where several of a name work side by side, each is better given a name of its own.
    ``started_ns`` and ``ended_ns`` are Unix nanoseconds, 0 when unknown; ``cost_usd`` None is unknown.
    """

    kind: Kind
    agent: str = ""
    name: str = ""  # the tool's or the model's
    fingerprint: Fingerprint | None = None
    answer: Answer | None = None
    call: Call | None = None
    started_ns: int = 0
    ended_ns: int = 0
    cost_usd: Decimal | None = None
    has_failed: bool = False
    attempt: int = 0  # n-th retry by a client's own retrying (x-stainless-retry-count)
    is_resent: bool = False  # its idempotency key was seen before
    siblings: int = 1  # like requests in flight, this one included, where the caller knows
    made_progress: bool = False  # the caller knows that something changed: a file, a checkpoint


def call_of(name: str, arguments: Any, result: Any, *, is_error: bool = False) -> Call:
    """The fingerprint of one call of a tool, from its name, its arguments and its answer as values or JSON texts.

    Never raises: what is no JSON counts as text.
    """
    outcome = outcome_of(name, result, is_error=is_error)
    meant = text.meant_arguments(arguments)
    is_barren = outcome in (Outcome.EMPTY, Outcome.FAILED)
    found = text.argument_words(meant) if is_barren else []
    asked, told = text.digest(text.canonical(meant)), text.digest(text.result_text(result))
    error = text.digest(text.error_text(result, meant)) if outcome is Outcome.FAILED else ""
    searched = text.sketch(found) if len(found) >= ARGUMENT_WORDS_MIN else ()
    return Call(name, asked, told, outcome, searched, error, text.digest(name, asked, error or told))


def tool_step(
    name: str,
    arguments: Any,
    result: Any,
    *,
    agent: str = "",
    is_error: bool = False,
    started_ns: int = 0,
    ended_ns: int = 0,
    cost_usd: Decimal | None = Decimal(0),
    made_progress: bool = False,
) -> Step:
    """A tool's call that was recorded. ``arguments`` and ``result``: values or JSON texts; both None: not recorded."""
    is_known = arguments is not None or result is not None
    return Step(
        kind=Kind.TOOL,
        agent=agent,
        name=name,
        call=call_of(name, arguments, result, is_error=is_error) if is_known else None,
        started_ns=started_ns,
        ended_ns=ended_ns,
        cost_usd=cost_usd,
        has_failed=is_error,
        made_progress=made_progress,
    )
