"""The scripted provider's server, its failures and its bill."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fake_provider import chat, completions, embeddings, gemini, messages, responses, wire
from tests.fake_provider.wire import Request


class Provider:
    """``bill`` and ``requests`` grow while it runs; ``streams`` holds the bytes of each stream.

    With ``log`` each line of the bill is appended to that file.
    """

    def __init__(self, log: Path | None = None) -> None:
        self.bill: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.streams: list[bytearray] = []
        self.responses: dict[str, dict[str, Any]] = {}  # what OpenAI keeps of its answers
        self.busy = 0  # answers under way
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

    def join(self) -> None:
        self._thread.join()

    def tokens(self) -> tuple[int, int]:
        """(input, output) of the whole bill."""
        return sum(line["input"] for line in self.bill), sum(line["output"] for line in self.bill)

    def clear(self) -> None:
        self.bill.clear()
        self.requests.clear()
        self.streams.clear()

    def paid(self, body: dict[str, Any], tokens_in: int, tokens_out: int) -> None:
        line = {"model": body.get("model"), "user": body.get("user"), "input": tokens_in, "output": tokens_out}
        self.bill.append(line)
        if self._log is not None:
            with self._log.open("a") as out:
                out.write(json.dumps(line) + "\n")

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
                await self._answer(await wire.read(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        path, body = request.path.partition("?")[0], request.body
        if named := gemini.model_of(path):
            body = {"model": named, **body}
        self.requests.append({"method": request.method, "path": request.path, "head": request.head, "body": body})
        script = set(str(body.get("model", "")).split("/")[-1].split("-"))
        failure = self._failure(script, body)
        if failure is not None:
            await wire.send(writer, *failure)
            return
        if "hang" in script:
            await asyncio.sleep(3600)
        if "slow" in script:
            await asyncio.sleep(0.5)
        self.busy += 1
        try:
            await self._speak(request.method, path, body, writer)
        finally:
            self.busy -= 1

    async def _speak(self, method: str, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if path.endswith("/embeddings"):
            await embeddings.answer(self, body, writer)
        elif path.endswith("/messages/count_tokens"):
            await wire.send(writer, 200, {"input_tokens": messages.script(body).tokens_in})
        elif path.endswith("/messages"):
            await messages.Answer(self, body, writer).give()
        elif path.endswith("/responses"):
            await responses.Answer(self, body, writer).give()
        elif "/responses/" in path:
            await responses.kept(self, method, path.rpartition("/responses/")[2], writer)
        elif path.endswith("/chat/completions"):
            await chat.Answer(self, body, writer).give()
        elif gemini.model_of(path):
            await gemini.answer(self, path, body, writer)
        elif path.endswith("/completions"):
            await completions.answer(self, body, writer)
        else:
            await wire.send(writer, 404, {"error": {"message": f"no such address: {path}", "type": "not_found"}})

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


@contextmanager
def a_provider() -> Iterator[Provider]:
    provider = Provider().start()
    try:
        yield provider
    finally:
        provider.stop()
