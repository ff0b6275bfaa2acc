"""Takes a call as any deployment does, and answers it in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson

from tracking.errors import UpstreamFailed
from tracking.gateway.asked import Asked
from tracking.gateway.demo_provider import completions, embeddings, messages, responses
from tracking.gateway.demo_provider.wire import chunk, done
from tracking.gateway.provider import Upstream
from tracking.gateway.routing import DEMO, Route
from wflo.demo import chat
from wflo.demo.scripts import FAILURES, MODELS, SLOW_SECONDS, Said, Told, say

TEAMS_REMEMBERED = 1_000


def _chat_events(said: Said, id: str, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    for one in chat.chunks(said, id, model, body):
        yield chunk(one)
    yield done()


_Format = tuple[
    Callable[[dict[str, Any]], Told],
    Callable[[Said, str, str, dict[str, Any]], dict[str, Any]],
    Callable[[Said, str, str, dict[str, Any]], Iterator[bytes]],
]
_FORMATS: dict[str, _Format] = {
    "openai.chat": (chat.read, chat.whole, _chat_events),
    "openai.completions": (completions.read, completions.whole, completions.stream),
    "openai.responses": (responses.read, responses.whole, responses.stream),
    "anthropic.messages": (messages.read, messages.whole, messages.stream),
}


class _Demo:
    def __init__(self) -> None:
        self._turns: dict[int, int] = {}  # calls of demo/error, by team

    async def send(self, route: Route, asked: Asked, body: dict[str, Any], timeout_s: float) -> Upstream:
        model = f"{DEMO}/{route.name}"
        if route.name not in MODELS:
            known = ", ".join(f"{DEMO}/{name}" for name in sorted(MODELS))
            raise _failed(404, f'There is no model "{model}". There are: {known}.')
        if route.name == "error":
            self._take_turn(asked.caller.team_id)
        if asked.dialect.is_embedding:
            return Upstream(200, orjson.dumps(embeddings.whole(body, model)))
        format = _FORMATS.get(asked.dialect.name)
        if format is None:
            raise _failed(400, f"The demo models do not speak {asked.dialect.name}.")
        read, whole, stream = format
        said = say(route.name, read(body))
        if asked.is_stream:
            pause_s = SLOW_SECONDS if route.name == "slow" else 0.0
            return Upstream(
                200, content_type="text/event-stream", chunks=_paced(stream(said, asked.id.hex, model, body), pause_s)
            )
        if route.name == "slow":
            await _wait(said.output_tokens * SLOW_SECONDS, timeout_s)
        return Upstream(200, orjson.dumps(whole(said, asked.id.hex, model, body)))

    def _take_turn(self, team_id: int) -> None:
        """A team's calls fail and are answered by turns, as this process counts them. Raises UpstreamFailed."""
        if len(self._turns) >= TEAMS_REMEMBERED:
            self._turns.clear()
        turn = self._turns.get(team_id, 0)
        self._turns[team_id] = turn + 1
        if turn % 2 == 0:
            raise _failed(*FAILURES[turn // 2 % len(FAILURES)])


CARRIER = _Demo()


async def _paced(events: Iterator[bytes], pause_s: float) -> AsyncIterator[bytes]:
    for event in events:
        if pause_s:
            await asyncio.sleep(pause_s)
        yield event


async def _wait(seconds: float, timeout_s: float) -> None:
    if seconds > timeout_s:
        await asyncio.sleep(timeout_s)
        raise _failed(504, f"The demo model takes {seconds:g} s for this answer.")
    await asyncio.sleep(seconds)


def _failed(status: int, message: str) -> UpstreamFailed:
    body = orjson.dumps({"error": {"message": message, "type": "demo_error", "code": str(status)}})
    return UpstreamFailed(message, status=status, provider=DEMO, upstream_status=status, body=body)
