"""Answers put together from pieces, whatever shape a provider's tool calls come in; a stream nobody reads on is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from wflo.agents import APIConnectionError, Piece, Request, RetryConfig, complete, stream_complete
from wflo.agents.assembly import Assembly
from wflo.usage import Usage


def delta(name: str = "", arguments: Any = None, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


WANTED = [("a", '{"x": 1}'), ("b", '{"y": 2}')]
SHAPES: dict[str, list[dict[str, Any]]] = {
    "numbered, bit by bit": [
        delta("a", "", index=0, id="1"), delta("", '{"x"', index=0), delta("", ": 1}", index=0),
        delta("b", "", index=1, id="2"), delta("", '{"y": 2}', index=1),
    ],
    "all with the number 0": [delta("a", '{"x": 1}', index=0, id="1"), delta("b", '{"y": 2}', index=0, id="2")],
    "without numbers": [delta("a", '{"x": 1}', id="1"), delta("b", '{"y": 2}', id="2")],
    "without ids": [delta("a", '{"x": 1}', index=0), delta("b", '{"y": 2}', index=1)],
    "arguments that are objects": [delta("a", {"x": 1}, index=0, id="1"), delta("b", {"y": 2}, index=1, id="2")],
    "names told again": [
        delta("a", '{"x"', index=0, id="1"), delta("a", ": 1}", index=0, id="1"), delta("b", '{"y": 2}', index=1, id="2"),
    ],
    "ids told again": [delta("a", '{"x"', id="1"), delta("", ": 1}", id="1"), delta("b", '{"y": 2}', id="2")],
    "in turns": [
        delta("a", "", index=0, id="1"), delta("b", "", index=1, id="2"), delta("", '{"x": 1}', index=0), delta("", '{"y": 2}', index=1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_calls_of_every_shape(shape: str) -> None:
    assembly = Assembly()
    for one in SHAPES[shape]:
        assembly.add(Piece(calls=[one]))
    calls = assembly.answer().calls
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in calls] == WANTED
    assert all(call["id"] for call in calls)
    assert len({call["id"] for call in calls}) == 2


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assembly = Assembly()
    assembly.add(Piece(calls=[delta("a", None, index=0, id="1")]))
    assert assembly.answer().calls[0]["function"]["arguments"] == "{}"


def test_words_thoughts_usage_and_the_end() -> None:
    assembly = Assembly()
    for piece in (
        Piece(thought="hm"),
        Piece(text="it "),
        Piece(text="is"),
        Piece(finish_reason="stop", model="m"),
        Piece(usage=Usage(input_tokens=1)),
    ):
        assembly.add(piece)
    answer = assembly.answer()
    assert (answer.text, answer.message["reasoning_content"], answer.finish_reason, answer.model) == (
        "it is",
        "hm",
        "stop",
        "m",
    )
    assert answer.usage == Usage(input_tokens=1)


class Streaming:
    """Says words, one a moment; ``closed`` once it was closed before its end."""

    def __init__(self, words: list[Any]) -> None:
        self.words = words
        self.closed = False
        self.begun = 0

    async def ask(self, request: Request) -> Any:
        raise AssertionError("it is streamed")

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        self.begun += 1
        try:
            for word in self.words:
                if isinstance(word, Exception):
                    if self.begun < 2:
                        raise word
                    continue
                yield Piece(text=word)
                await asyncio.sleep(0)
        except GeneratorExit:
            self.closed = True
            raise


AT_ONCE = RetryConfig(max_attempts=2, min_wait=0, max_wait=0, multiplier=0)


def test_who_stops_reading_closes_the_providers_stream() -> None:
    model = Streaming(["one ", "two ", "three"])

    async def work() -> None:
        chunks = stream_complete("x", ask=model)
        async for _ in chunks:
            break
        await chunks.aclose()

    asyncio.run(work())
    assert model.closed


def test_cancelling_closes_it_too() -> None:
    class Endless(Streaming):
        async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
            try:
                yield Piece(text="one")
                await asyncio.sleep(60)
            finally:
                self.closed = True

    model = Endless([])

    async def read() -> None:
        async for _ in stream_complete("x", ask=model):
            pass

    async def work() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert model.closed


def test_a_stream_that_fails_before_its_first_word_is_begun_again() -> None:
    model = Streaming([APIConnectionError("down"), "fine"])

    async def work() -> str:
        return "".join([chunk.content async for chunk in stream_complete("x", ask=model, retry=AT_ONCE)])

    assert asyncio.run(work()) == "fine"
    assert model.begun == 2


def test_one_that_fails_later_is_not() -> None:
    model = Streaming(["fine ", APIConnectionError("cut")])

    async def work() -> None:
        async for _ in stream_complete("x", ask=model, retry=AT_ONCE):
            pass

    with pytest.raises(APIConnectionError, match="cut"):
        asyncio.run(work())
    assert model.begun == 1


def test_a_plain_function_is_a_model_that_streams_in_one_piece() -> None:
    async def ask(request: Request) -> Any:
        from wflo.agents import Answer

        return Answer(message={"role": "assistant", "content": "all at once"})

    async def work() -> list[str]:
        return [chunk.content async for chunk in stream_complete("x", ask=ask)]

    assert asyncio.run(work()) == ["all at once", ""]
    assert asyncio.run(complete("x", ask=ask)).final_response == "all at once"
