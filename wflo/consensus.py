"""Agents that vote: asked side by side, counted by ``wflo.voting``.

result = await consensus_vote(agents=["a", "b", "c"], question="Ship it?", options=["yes", "no"], voters={...})
result["decision"], result["reached"]
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from wflo import context, recording, voting
from wflo.client import client
from wflo.either import EitherDict

ASK_SECONDS = 1.0
VOTES_CHARACTERS = 500
Voter = Callable[..., Any]


def consensus_vote(
    agents: Sequence[str],
    strategy: str = "majority",
    quorum: float = 0.6,
    *,
    question: str | None = None,
    options: Sequence[str] | None = None,
    voters: Mapping[str, Any] | Sequence[Any] | None = None,
    weights: Mapping[str, float] | None = None,
    timeout: float = 60,
) -> EitherDict[str, Any]:
    """What the agents decide; the result is there at once and may be awaited.

    ``voters``: by agent, or in the agents' order: a function of the question (and the options, where it takes two
    arguments), async or not, or an object with ``execute`` or ``run``. Who fails, does not answer within ``timeout`` seconds or
    answers what is no option abstains. Without voters the votes come through the server
    (``POST /api/v1/consensus/{id}/votes``). ``quorum`` is the least share of the agents that must have voted.

    The result: ``decision`` (None where it is not reached), ``reached``, ``votes``, ``participation``, ``agreement``,
    ``strategy``, ``quorum_met``, ``ties``, ``errors``. Raises ValueError for arguments that mean nothing, ServerError.
    """
    names = list(agents)
    if not names or len(set(names)) != len(names):
        raise ValueError("agents: at least one, each once")
    voting.count({}, strategy, quorum=quorum, weights=weights)
    if voters is None:
        votes, errors = _collected(names, strategy, quorum, question, options, weights, timeout)
    else:
        asked = voters if isinstance(voters, Mapping) else dict(zip(names, voters, strict=True))
        if missing := [name for name in names if name not in asked]:
            raise ValueError(f"voters: none for {', '.join(missing)}")
        votes, errors = _apart(_ask_all({name: asked[name] for name in names}, question or "", options, timeout))
    result = _counted(votes, errors, strategy, quorum, options, weights)
    recording.occurred("consensus", name=question or "vote", input=question, output=dict(result), strategy=strategy)
    return result


class ConsensusVoting:
    """The same with its settings kept: ``ConsensusVoting(strategy="unanimous").vote(agents, ...)``."""

    def __init__(self, strategy: str = "majority", quorum: float = 0.6, timeout: float = 60) -> None:
        self.strategy, self.quorum, self.timeout = strategy, quorum, timeout

    def vote(self, agents: Sequence[str], **asked: Any) -> EitherDict[str, Any]:
        return consensus_vote(agents, self.strategy, self.quorum, timeout=self.timeout, **asked)


def _counted(
    votes: dict[str, str | None],
    errors: dict[str, str],
    strategy: str,
    quorum: float,
    options: Sequence[str] | None,
    weights: Mapping[str, float] | None,
) -> EitherDict[str, Any]:
    found = voting.count(votes, strategy, weights=weights, quorum=quorum, choices=list(options or ()))
    most = max(found.counts.values(), default=0)
    ties = sorted(choice for choice, got in found.counts.items() if got == most and got > 0)
    return EitherDict({
        "decision": found.winner if found.is_reached else None,
        "reached": found.is_reached,
        "votes": votes,
        "participation": found.turnout,
        "agreement": found.share,
        "strategy": strategy,
        "quorum_met": found.turnout >= quorum,
        "ties": ties if len(ties) > 1 else [],
        "errors": errors,
    })  # fmt: skip


async def _ask_all(
    voters: Mapping[str, Any], question: str, options: Sequence[str] | None, timeout: float
) -> tuple[dict[str, str | None], dict[str, str]]:
    errors: dict[str, str] = {}

    async def one(name: str, voter: Any) -> tuple[str, str | None]:
        try:
            answer = await asyncio.wait_for(_asked(voter, question, options), timeout)
        except TimeoutError:
            errors[name] = f"no answer within {timeout:g} s"
            return name, None
        except Exception as error:
            errors[name] = recording.words_of(error)
            return name, None
        choice = _choice(answer, options)
        if choice is None:
            errors[name] = f"its answer is no option: {str(answer)[:VOTES_CHARACTERS]}"
        return name, choice

    found = await asyncio.gather(*(one(name, voter) for name, voter in voters.items()))
    return dict(found), errors


async def _asked(voter: Any, question: str, options: Sequence[str] | None) -> Any:
    ask = voter if callable(voter) else getattr(voter, "execute", None) or getattr(voter, "run", None)
    if ask is None:
        raise TypeError("a voter is a function, or has execute or run")
    arguments: tuple[Any, ...] = (question, list(options or ())) if _takes_two(ask) else (question,)
    if inspect.iscoroutinefunction(ask):
        return await ask(*arguments)
    answer = await asyncio.to_thread(ask, *arguments)
    return await answer if inspect.isawaitable(answer) else answer


def _takes_two(ask: Callable[..., Any]) -> bool:
    try:
        places = inspect.signature(ask).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [
        one
        for one in places
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    return len(required) >= 2


def _choice(answer: Any, options: Sequence[str] | None) -> str | None:
    said = getattr(answer, "final_response", answer)
    if said is None:
        return None
    words = str(said).strip()
    if not options:
        return words[:VOTES_CHARACTERS] or None
    exact = {option.strip().lower(): option for option in options}
    return exact.get(words.lower().rstrip("."))


def _apart(asking: Any) -> Any:
    """The value of a coroutine, also where a loop runs already: then in a thread of its own, with this context."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(asking)
    found: list[Any] = []
    failed: list[BaseException] = []
    here = context.current()

    def work() -> None:
        try:
            if here is None:
                found.append(asyncio.run(asking))
            else:
                with context.entered(here):
                    found.append(asyncio.run(asking))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="wflo-consensus")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _collected(
    names: list[str],
    strategy: str,
    quorum: float,
    question: str | None,
    options: Sequence[str] | None,
    weights: Mapping[str, float] | None,
    timeout: float,
) -> tuple[dict[str, str | None], dict[str, str]]:
    """Votes that others give through the server."""
    server = client()
    if server is None:
        raise ValueError("voters: none were given, and there is no server that votes could come through")
    id, run = str(uuid4()), context.current_run()
    server.post("/api/v1/consensus", {
        "id": id, "run": run.id if run else None, "question": question or "", "options": list(options or ()), "voters": names,
        "weights": dict(weights or {}), "strategy": strategy, "quorum": quorum, "timeout_s": timeout,
    })  # fmt: skip
    until = time.monotonic() + timeout
    while True:
        found = server.get(f"/api/v1/consensus/{quote(id)}")
        if found.get("closed") or time.monotonic() >= until:
            votes = found.get("votes") or {}
            return {name: votes.get(name) for name in names}, {}
        time.sleep(min(ASK_SECONDS, max(until - time.monotonic(), 0.01)))
