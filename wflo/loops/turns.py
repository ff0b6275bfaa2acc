"""Fingerprints: of a request to a model, of its answer, of a call that a span recorded.

The fingerprint is of the whole turn: what was said last and every call of a tool since, with its answer. The last words of
the user alone would make every second call of an agent that uses tools a repetition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from wflo.loops import text as text
from wflo.loops.messages import (
    Said,
    anthropic_messages,
    chat_messages,
    recorded_messages,
    responses_messages,
)
from wflo.loops.outcomes import asks_for_patience, says_failed, says_wait
from wflo.loops.steps import Answer, Call, Fingerprint, Round, Step, call_of
from wflo.spans import Kind

_REACT_NEXT = ("\nThought:", "\nAction:", "\nFinal Answer:", "\nQuestion:")
ROUNDS_READ_MAX = 9  # of one turn, the newest: what a cycle of three takes to be seen three times
_SAMPLING = ("model", "temperature", "top_p", "seed", "n")
_CHAIN = ("previous_response_id", "conversation")


def fingerprint(body: Mapping[str, Any], dialect: str = "chat") -> Fingerprint:
    """Of a request as it was decoded from JSON. ``dialect``: chat, anthropic or responses; ValueError for another. Never
    raises on odd shapes."""
    readers = {"chat": chat_fingerprint, "anthropic": anthropic_fingerprint, "responses": responses_fingerprint}
    if dialect not in readers:
        raise ValueError(f"no dialect: {dialect}")
    return readers[dialect](body)


def answer(body: Mapping[str, Any], dialect: str = "chat") -> Answer:
    """Of what the provider answered, in the same dialects."""
    readers = {"chat": chat_answer, "anthropic": anthropic_answer, "responses": responses_answer}
    if dialect not in readers:
        raise ValueError(f"no dialect: {dialect}")
    return readers[dialect](body)


def chat_fingerprint(body: Mapping[str, Any]) -> Fingerprint:
    """Of a request to ``/v1/chat/completions``, decoded from JSON."""
    return fingerprint_of(chat_messages(body), body)


def anthropic_fingerprint(body: Mapping[str, Any]) -> Fingerprint:
    """Of a request to Anthropic's ``/v1/messages``."""
    return fingerprint_of(anthropic_messages(body), body)


def responses_fingerprint(body: Mapping[str, Any]) -> Fingerprint:
    """Of a request to ``/v1/responses``. One that goes on from ``previous_response_id`` tells answers of tools without
    their calls; those count as words of its turn."""
    return fingerprint_of(responses_messages(body), body)


def chat_answer(completion: Mapping[str, Any]) -> Answer:
    """Of a chat completion: its first choice."""
    choices = completion.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    message = first.get("message")
    return answer_of(chat_messages({"messages": [message]}))


def anthropic_answer(message: Mapping[str, Any]) -> Answer:
    """Of Anthropic's answer: its content blocks."""
    return answer_of(anthropic_messages({"messages": [{**message, "role": "assistant"}]}))


def responses_answer(response: Mapping[str, Any]) -> Answer:
    """Of a response: its output items."""
    return answer_of(responses_messages({"input": response.get("output")}))


def llm_step(
    asked: Iterable[Any],
    answered: Iterable[Any] | None,
    *,
    agent: str = "",
    model: str = "",
    options: Mapping[str, Any] | None = None,
    started_ns: int = 0,
    ended_ns: int = 0,
    cost_usd: Decimal | None = None,
    has_failed: bool = False,
    attempt: int = 0,
) -> Step:
    """A model's call that a span recorded. ``asked`` and ``answered``: messages with ``role`` and ``parts``; no message
    at all means that none was recorded. ``options``: temperature and the like, as a request has them."""
    said = recorded_messages(asked)
    told = recorded_messages(answered or ())
    return Step(
        kind=Kind.LLM,
        agent=agent,
        name=model,
        fingerprint=fingerprint_of(said, {"model": model} | dict(options or {})) if said else None,
        answer=answer_of(told) if told else None,
        started_ns=started_ns,
        ended_ns=ended_ns,
        cost_usd=cost_usd,
        has_failed=has_failed,
        attempt=attempt,
    )


def fingerprint_of(said: list[Said], options: Mapping[str, Any]) -> Fingerprint:
    """Of messages in any dialect; ``options`` are the request's others, of which those of sampling are part of it."""
    start = _turn_start(said)
    turn = said[start:]
    rounds, stray = _rounds(turn)
    # An assistant's words inside a turn stand at its end: another agent's, or a scratchpad's.
    spoken = "\n".join([*(message.text for message in turn if message.text and not message.calls), *stray])
    rounds = rounds or react_rounds(spoken)
    told = [_round(calls) for calls in rounds[-ROUNDS_READ_MAX:]]
    keys = [str(len(rounds)), *(call.key for calls in told for call in calls)]
    (plain, calm, meant), topic = _read(spoken), _topic(turn)
    sampling = [f"{name}={options[name]}" for name in _SAMPLING if options.get(name) is not None]
    history = text.digest(_whole(said[:start]), *(str(options.get(name)) for name in _CHAIN))
    tools = [message for message in turn if message.calls or message.results]
    samples = options.get("n")
    return Fingerprint(
        system=_system_key(text.cut(text.without_asides(_system(said)))),
        request=text.digest(history, _whole(turn), *sampling),
        plain=text.digest(history, plain, _whole(tools), *sampling),
        turn=text.digest(meant, *keys, *sampling),
        shape=text.digest(text.idless(meant), *keys, *sampling),
        topic=text.digest(meant if topic == spoken else _meant(topic)),
        words=text.sketch(text.words(meant)) if not rounds else (),
        depth=len(said),
        rounds=tuple(told),
        round_count=len(rounds),
        samples=samples if isinstance(samples, int) else 1,
        is_patient=not rounds and says_wait(calm),
        tells_failure=says_failed(spoken.removeprefix("Observation:")),
        may_wait=asks_for_patience(topic),
    )


def answer_of(said: list[Said]) -> Answer:
    """Of what a model said: the calls it asked for, else its words."""
    calls = [call for message in said for call in message.calls]
    if calls:
        keys = sorted(text.digest(call.name, text.canonical(text.meant_arguments(call.arguments))) for call in calls)
        return Answer(key=text.digest("calls", *keys), calls=tuple(dict.fromkeys(call.name for call in calls)))
    spoken = _meant("\n".join(message.text for message in said))
    found = text.words(spoken)
    return Answer(key=text.digest("words", spoken), words=text.sketch(found), word_count=len(found))


class _Read(NamedTuple):
    """A turn's words without punctuation; without nonces; and without either, and without asides."""

    plain: str
    calm: str
    meant: str


def _read(spoken: str) -> _Read:
    kept = text.cut(spoken)
    calm = text.nonceless(kept)
    if text.without_asides(spoken) != spoken:
        return _Read(text.plain(kept), calm, _meant(spoken))
    meant = text.plain(calm)
    return _Read(meant if calm == kept.lower() else text.plain(kept), calm, meant)


def _meant(spoken: str) -> str:
    return text.plain(text.nonceless(text.cut(text.without_asides(spoken))))


@lru_cache(maxsize=256)
def _system_key(system: str) -> str:
    """The same for every call of an agent, so it is not reckoned anew."""
    return text.digest(text.numberless(text.plain(text.nonceless(system))))


def _turn_start(said: list[Said]) -> int:
    """Where the newest turn begins: after the last answer in words. Such answers at the very end, a beginning put into
    the model's mouth or what another agent said, belong to the turn."""
    start = len(said)
    first = next((place for place, one in enumerate(said) if one.role != "system"), start)
    while start > first and said[start - 1].is_answer:
        start -= 1
    while start > first and not said[start - 1].is_answer:
        start -= 1
    return start


def _system(said: list[Said]) -> str:
    return said[0].text if said and said[0].role == "system" else ""


def _topic(turn: list[Said]) -> str:
    """What the turn began with. What a framework puts in after a call of a tool does not change it; nor does the
    scratchpad of an agent that writes its calls as text."""
    begun = next((message.text for message in turn if message.role == "user" and message.text), "")
    return begun.partition("\nThought:")[0]


Pairs = list[tuple[str, Any, Any, bool]]  # name, arguments, answer, is an error


def _rounds(turn: list[Said]) -> tuple[list[Pairs], list[str]]:
    """The turn's answered calls, by the message that asked for them; and answers whose call is not told."""
    rounds: list[Pairs] = []
    open_calls: dict[str, tuple[int, str, Any]] = {}
    stray: list[str] = []
    for message in turn:
        if message.calls:
            rounds.append([])
            for call in message.calls:
                open_calls[call.id] = (len(rounds) - 1, call.name, call.arguments)
        for told in message.results:
            asked = open_calls.pop(told.id, None)
            if asked is None:
                stray.append(text.result_text(told.value))
            else:
                rounds[asked[0]].append((asked[1], asked[2], told.value, told.is_error))
    return [pairs for pairs in rounds if pairs], stray


def react_rounds(spoken: str) -> list[Pairs]:
    """Calls written as text: lines "Action:", "Action Input:" and "Observation:" (Yao et al., ReAct, 2022)."""
    before, *observed = spoken.split("\nObservation:")
    rounds: list[Pairs] = []
    for after in observed:
        head, _, arguments = before.rpartition("\nAction Input:")
        name = head.rpartition("Action:")[2].strip()
        if name and "\n" not in name:
            ends = [place for word in _REACT_NEXT if (place := after.find(word)) >= 0]
            rounds.append([(name, arguments.strip(), after[: min(ends, default=len(after))].strip(), False)])
        before = after
    return rounds


def _round(pairs: Pairs) -> Round:
    calls: dict[str, Call] = {}
    for name, arguments, value, is_error in pairs:
        call = call_of(name, arguments, value, is_error=is_error)
        calls[call.key] = call  # the same call twice in one answer is asked once
    return tuple(calls[key] for key in sorted(calls))


def _whole(said: list[Said]) -> str:
    hashed = blake2b(digest_size=8)
    for message in said:
        # Ids of calls differ from try to try.
        calls = [(call.name, call.arguments) for call in message.calls]
        results = [told.value for told in message.results]
        line = f"\n{message.role}\t{text.exact(message.text)}\t{calls or ''}\t{results or ''}"
        hashed.update(line.encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()
