"""One request to the server, over a connection that is kept. Redirects are not followed (the key would go along), proxies of
the environment are not used, and of an answer at most ``ANSWER_BYTES_MAX`` are read."""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401  a connection imports it: a fork in that moment leaves a child that waits for the import for ever
import gzip
import http.client
import io
import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

GZIP_FROM_BYTES = 1_024
GZIP_LEVEL = 2
ANSWER_BYTES_MAX = 2**20


@dataclass(slots=True)
class Answer:
    """``status`` 0: no answer, for the reason ``error`` gives."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    retry_after: float | None = None
    error: str = ""


class _Timed(io.RawIOBase):
    """What a socket gives until a moment. A socket's own timeout begins anew with every byte, so an answer that drips would
    hold its reader for as long as the server likes."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self._until = sock, until
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Transport:
    """To one endpoint, with one key."""

    def __init__(self, endpoint: str, api_key: str) -> None:
        self._url = urlsplit(endpoint)
        self._headers = {"Content-Type": "application/json", "User-Agent": "wflo-python"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, *, seconds: float) -> Answer:
        """Never raises. ``seconds`` to connect, as many to send and, from the start, to have the answer as a whole. A kept
        connection that the server has closed meanwhile is opened once more."""
        headers = dict(self._headers)
        if len(body) >= GZIP_FROM_BYTES:
            body = gzip.compress(body, GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        was_kept = self._connection is not None
        answer = self._try(path, body, headers, seconds)
        if (
            answer.status == 0
            and was_kept
            and answer.error.startswith(("RemoteDisconnected", "BrokenPipe", "ConnectionReset"))
        ):
            answer = self._try(path, body, headers, seconds)
        return answer

    def _try(self, path: str, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
        until = time.monotonic() + seconds
        try:
            connection = self._open(seconds, until)
            connection.request("POST", f"{self._url.path.rstrip('/')}{path}", body, headers)
            response = connection.getresponse()
            read = response.read(ANSWER_BYTES_MAX + 1)
            if len(read) > ANSWER_BYTES_MAX or response.will_close or not response.isclosed():
                self.close()
            return Answer(response.status, _object(read), _seconds(response.getheader("Retry-After")))
        except Exception as error:  # sockets, TLS, HTTP's own, and whatever a stranger's server may provoke
            self.close()
            return Answer(0, error=f"{type(error).__name__}: {error}")

    def _open(self, seconds: float, until: float) -> http.client.HTTPConnection:
        if self._connection is None:
            secure = self._url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(self._url.hostname or "", self._url.port, timeout=seconds)
        elif self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)

        def response(sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
            made = http.client.HTTPResponse(sock, **options)
            made.fp.close()
            made.fp = io.BufferedReader(_Timed(sock, until))
            return made

        self._connection.response_class = response  # type: ignore[assignment]
        return self._connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def _object(read: bytes) -> dict[str, Any]:
    try:
        found = json.loads(read) if len(read) <= ANSWER_BYTES_MAX else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its form as a date says nothing that a back-off does not."""
    try:
        found = float(header) if header else None
    except ValueError:
        return None
    return found if found is not None and 0 <= found < float("inf") else None
