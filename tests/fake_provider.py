"""A scripted provider that speaks the providers' wire formats and keeps a bill of its own, the judge of every money test.

The model's name is the script: ``echo`` answers with the last message; after it, words joined by "-":
``slow`` (half a second before the answer), ``drip`` (a stream of a piece each 20 ms), ``hang`` (never answers),
``cut`` (a stream that breaks off), ``nodone`` (one that ends without [DONE]), ``nousage``, ``badusage``, ``deaf`` (does
not keep to max_tokens: 200 pieces), ``long`` (as many pieces as it may), ``fail429 fail500 fail400 ctxlen`` and
``flaky`` (fails the first time of each request), ``tool`` (calls the first tool offered until its result is there).
A prompt has a token for each 4 bytes of its text, an answer one for each word. Every call that was answered, whole or
in part, is a line of the bill: tokens that the provider would be paid for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "runs",
    "on",
    "through",
    "the",
    "wood",
]


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(text_of(part) for part in value)
    if isinstance(value, dict):
        return text_of(value.get("text", value.get("content", value.get("output", ""))))
    return ""


def tokens_of(text: str) -> int:
    return max(1, (len(text.encode()) + 3) // 4)


class Provider:
    """``bill`` and ``requests`` grow while it runs. With ``log`` each line of the bill is appended to that file."""

    def __init__(self, log: Path | None = None) -> None:
        self.bill: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.port = 0
        self._log = log
        self._seen: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self, port: int = 0) -> Provider:
        self.port = port
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def tokens(self) -> tuple[int, int]:
        """(input, output) of the whole bill."""
        return sum(line["input"] for line in self.bill), sum(line["output"] for line in self.bill)

    def clear(self) -> None:
        self.bill.clear()
        self.requests.clear()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                raw = await reader.readexactly(length)
                path = head.split(b" ", 2)[1].decode()
                await self._answer(path, head, json.loads(raw or b"{}"), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, head: bytes, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.requests.append({"path": path, "head": head.decode("latin-1"), "body": body})
        script = set(str(body.get("model", "")).split("/")[-1].split("-"))
        failure = self._failure(script, body)
        if failure is not None:
            await _send(writer, *failure)
            return
        if "hang" in script:
            await asyncio.sleep(3600)
        if "slow" in script:
            await asyncio.sleep(0.5)
        if path.endswith("/embeddings"):
            await self._embed(body, writer)
        else:
            await Answer(self, path, body, script, writer).give()

    def _failure(self, script: set[str], body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]] | None:
        if "flaky" in script:
            key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
            if key in self._seen:
                return None
            self._seen.add(key)
            return 503, {"error": {"message": "try again", "type": "server_error", "code": None}}, {}
        for word in script:
            if word.startswith("fail") and word[4:].isdigit():
                status = int(word[4:])
                error = {"message": f"failed with {status}", "type": "server_error", "code": "scripted"}
                return status, {"error": error}, {"retry-after": "1"} if status == 429 else {}
        if "ctxlen" in script:
            error = {"message": "maximum context length is 8192 tokens", "type": "invalid_request_error"}
            return 400, {"error": {**error, "code": "context_length_exceeded"}}, {}
        return None

    def paid(self, body: dict[str, Any], tokens_in: int, tokens_out: int) -> None:
        line = {"model": body.get("model"), "input": tokens_in, "output": tokens_out}
        self.bill.append(line)
        if self._log is not None:
            with self._log.open("a") as out:
                out.write(json.dumps(line) + "\n")

    async def _embed(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        tokens = sum(tokens_of(str(text)) for text in texts)
        self.paid(body, tokens, 0)
        data = [{"object": "embedding", "index": n, "embedding": [0.1, 0.2]} for n in range(len(texts))]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        await _send(writer, 200, {"object": "list", "data": data, "model": body["model"], "usage": usage})


class Answer:
    """One answer in OpenAI's chat format, whole or as a stream."""

    def __init__(
        self, provider: Provider, path: str, body: dict[str, Any], script: set[str], writer: asyncio.StreamWriter
    ) -> None:
        self.provider, self.path, self.body, self.script, self.writer = provider, path, body, script, writer
        self.tokens_in = tokens_of(text_of(body.get("messages") or body.get("input")))
        self.most = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens") or 1000
        self.choices = body.get("n") or 1
        self.words, self.tool = self._said()

    def _said(self) -> tuple[list[str], dict[str, Any] | None]:
        messages = self.body.get("messages") or [{"role": "user", "content": self.body.get("input")}]
        tools = self.body.get("tools") or []
        if "tool" in self.script and tools and messages[-1].get("role") != "tool":
            return ["calling"], tools[0].get("function", tools[0])
        if "deaf" in self.script:
            return [WORDS[n % len(WORDS)] for n in range(200)], None
        if "long" in self.script:
            return [WORDS[n % len(WORDS)] for n in range(min(self.most, 2000))], None
        words = text_of(messages[-1].get("content")).split() or ["ok"]
        return words[: self.most], None

    @property
    def is_cut_short(self) -> bool:
        return len(self.words) >= self.most

    def usage(self, words: int) -> dict[str, Any] | None:
        if "nousage" in self.script:
            return None
        if "badusage" in self.script:
            return {"prompt_tokens": -5, "completion_tokens": "12", "total_tokens": 1e18}
        out = words * self.choices
        return {"prompt_tokens": self.tokens_in, "completion_tokens": out, "total_tokens": self.tokens_in + out}

    async def give(self) -> None:
        if self.body.get("stream"):
            await self._stream()
            return
        message: dict[str, Any] = {"role": "assistant", "content": " ".join(self.words)}
        finish = "length" if self.is_cut_short else "stop"
        if self.tool is not None:
            message |= {"content": None, "tool_calls": [self._tool_call()]}
            finish = "tool_calls"
        choices = [{"index": n, "message": message, "finish_reason": finish} for n in range(self.choices)]
        answer = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": self.body["model"],
                  "choices": choices}  # fmt: skip
        usage = self.usage(len(self.words))
        if usage is not None:
            answer["usage"] = usage
        self.provider.paid(self.body, self.tokens_in, len(self.words) * self.choices)
        await _send(self.writer, 200, answer)

    def _tool_call(self) -> dict[str, Any]:
        assert self.tool is not None
        return {"id": "call_1", "type": "function", "function": {"name": self.tool["name"], "arguments": '{"q":"x"}'}}

    async def _stream(self) -> None:
        sent = 0
        self.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            for word in self.words:
                self._event({"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]})
                sent += 1
                await self.writer.drain()
                if "drip" in self.script:
                    await asyncio.sleep(0.02)
                if "cut" in self.script and sent >= 3:
                    self.writer.transport.abort()
                    return
            await self._end_of_stream()
        finally:
            self.provider.paid(self.body, self.tokens_in, sent)

    async def _end_of_stream(self) -> None:
        if self.tool is not None:
            call = {"index": 0, **self._tool_call()}
            self._event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]})
        finish = "tool_calls" if self.tool else "length" if self.is_cut_short else "stop"
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        usage = self.usage(len(self.words))
        if (self.body.get("stream_options") or {}).get("include_usage") and usage is not None:
            self._event({"choices": [], "usage": usage})
        if "nodone" not in self.script:
            self._chunk(b"data: [DONE]\n\n")
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def _event(self, what: dict[str, Any]) -> None:
        frame = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": self.body["model"]}
        self._chunk(b"data: " + json.dumps({**frame, **what}).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))


async def _send(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    data = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{more}\r\n"
    writer.write(head.encode() + data)
    await writer.drain()


@contextmanager
def a_provider() -> Iterator[Provider]:
    provider = Provider().start()
    try:
        yield provider
    finally:
        provider.stop()


if __name__ == "__main__":  # python -m tests.fake_provider PORT BILL
    Provider(Path(sys.argv[2])).start(int(sys.argv[1]))._thread.join()
