"""The guard: secrets and personal data neither go to a provider nor come from one, where a team or a caller says so.

What is looked for is what is struck out before storage (tracking/redaction.py). ``X-DLP-Mode`` makes one call stricter than
its team, never laxer; ``X-DLP-Patterns`` names what to look for where the team's own guard is off. A prompt is looked at
before anything is held or kept; an answer when it is whole, a stream as it goes by (tracking/gateway/sieve.py).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace

import orjson

from tracking.errors import GuardRefused, InvalidCall
from tracking.gateway import agent_breakers, answers
from tracking.gateway.asked import Asked
from tracking.gateway.call import Answered, Begun
from tracking.gateway.dialects.deltas import without_odds
from tracking.gateway.sieve import Sieve
from tracking.models import Team
from tracking.redaction import PATTERNS, Redactor, redactor, redactor_of

Mode = Team.Guard
_STRENGTH = {mode: strength for strength, mode in enumerate((Mode.OFF, Mode.LOG, Mode.MASK, Mode.BLOCK))}
_PROMPT = ("messages", "input", "prompt", "system", "instructions")


@dataclass(frozen=True, slots=True)
class Guard:
    """What one call is looked at for, and what is done about it."""

    mode: str
    redactor: Redactor


def of(asked: Asked, headers: Mapping[bytes, bytes]) -> Guard | None:
    """None: the call is not looked at. Raises InvalidCall naming the header."""
    own, wanted = asked.caller.policy.guard, headers.get(b"x-dlp-mode", b"").decode("latin-1").strip().lower()
    if wanted and wanted not in _STRENGTH:
        raise InvalidCall(f"X-DLP-Mode is one of {', '.join(_STRENGTH)}.", field="X-DLP-Mode")
    names = [name.strip() for name in headers.get(b"x-dlp-patterns", b"").decode("latin-1").split(",") if name.strip()]
    if unknown := sorted(set(names) - set(PATTERNS)):
        raise InvalidCall(
            f'X-DLP-Patterns has no "{unknown[0][:40]}"; there are {", ".join(PATTERNS)}.', field="X-DLP-Patterns"
        )
    mode = max(own, wanted or Mode.OFF, key=lambda mode: _STRENGTH[Mode(mode)])
    if mode == Mode.OFF:
        return None
    is_narrow = bool(names) and own == Mode.OFF
    return Guard(mode, redactor_of(tuple(sorted(set(names)))) if is_narrow else redactor("secrets_and_personal"))


def look_at_prompt(asked: Asked) -> None:
    """Raises GuardRefused; masks what the provider is to get."""
    guard: Guard | None = asked.guard
    if guard is None:
        return
    for name in _PROMPT:
        said = asked.body.get(name)
        if said is None:
            continue
        raw = orjson.dumps(said)
        found = guard.redactor.found(raw)
        if not found:
            continue
        if guard.mode != Mode.LOG and not asked.guarded:  # once a call
            agent_breakers.hit(asked, "prompt", found)
        if guard.mode == Mode.BLOCK:
            raise _refusal("prompt", found, field=name)
        asked.guarded = (*asked.guarded, f"the prompt held {' and '.join(found)}")
        if guard.mode == Mode.MASK:
            asked.body[name], asked.raw = orjson.loads(guard.redactor.body(raw)), None


def look_at_answer(asked: Asked, made: Answered) -> Answered:
    """The answer as it may be told; it is paid for whatever it holds. Raises GuardRefused."""
    guard: Guard | None = asked.guard
    found = [] if guard is None else guard.redactor.found(made.body)
    if guard is None or not found or guard.mode == Mode.LOG:
        return made
    agent_breakers.hit(asked, "answer", found)
    if guard.mode == Mode.BLOCK:
        raise _refusal("answer", found)
    return replace(made, body=_masked(guard, made.body))


def _masked(guard: Guard, body: bytes) -> bytes:
    """Without what tells the same words once more, token by token."""
    said = orjson.loads(guard.redactor.body(body))
    without_odds(said)
    return orjson.dumps(said)


def pieces_of(begun: Begun, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """A stream as it may be told."""
    guard: Guard | None = begun.asked.guard
    if guard is None or guard.mode == Mode.LOG:
        return pieces
    return _sifted(begun, guard, pieces)


async def _sifted(begun: Begun, guard: Guard, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """What may not be told is taken out, or ends the stream; then what the provider still says is read for the bill."""
    sieve = Sieve(guard.redactor, is_blocking=guard.mode == Mode.BLOCK)
    try:
        async for data in pieces:
            out = sieve.feed(data)
            if sieve.is_stopped:
                break
            if out:
                yield out
        out = b"" if sieve.is_stopped else sieve.end()
        if sieve.is_stopped:
            note = f"the answer held {' and '.join(sieve.found)}"
            begun.asked.guarded = (*begun.asked.guarded, note)
            yield begun.asked.dialect.error_event(answers.error_of(_refusal("answer", sieve.found)))
            async for _ in pieces:
                pass
            begun.course.notes = (*begun.course.notes, note)  # an answer that is not whole
        elif out:
            yield out
    finally:
        await pieces.aclose()
        if sieve.found:
            agent_breakers.hit(begun.asked, "answer", sieve.found)


def _refusal(what: str, found: list[str], *, field: str | None = None) -> GuardRefused:
    names = " and ".join(found)
    todo = "Take it out of the prompt" if what == "prompt" else "Ask for the answer without it"
    words = f"The {what} holds what this team's guard does not let through: {names}. {todo}, or have the guard changed."
    return GuardRefused(words, field=field, pattern=found[0], patterns=found)
