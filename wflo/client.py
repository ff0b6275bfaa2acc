"""Asking the server something, and hearing the answer: checkpoints, approvals, circuits, votes.

What agents do is told by the exporter, which never waits; this waits, and says what went wrong.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from wflo import config
from wflo.errors import ServerError

log = logging.getLogger("wflo")
ANSWER_BYTES_MAX = 8 * 2**20


class Client:
    """Of one server, with one key. Every call is a connection of its own, so that any thread may use it."""

    def __init__(self, endpoint: str, api_key: str, *, timeout_seconds: float = 10.0) -> None:
        self._url, self._key, self._timeout = urlsplit(endpoint), api_key, timeout_seconds

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Raises ServerError, as all of these do; ``status`` is 0 where there was no answer."""
        told = {name: value for name, value in parameters.items() if value is not None}
        return self.request("GET", f"{path}?{urlencode(told)}" if told else path)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.request("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.request("PUT", path, body)

    def delete(self, path: str) -> dict[str, Any]:
        return self.request("DELETE", path)

    async def arequest(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The same for code that awaits."""
        return await asyncio.to_thread(self.request, method, path, body)

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call of ``{endpoint}{path}``. No redirect is followed: the key goes to nobody but the endpoint."""
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._key}", "User-Agent": "wflo-python"}
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            headers["Content-Type"] = "application/json"
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout)
        try:
            connection.request(method, f"{self._url.path.rstrip('/')}{path}", data, headers)
            response = connection.getresponse()
            read = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(
                f"Wflo at {self._url.netloc} cannot be reached: {type(error).__name__}: {error}"
            ) from error
        finally:
            connection.close()
        return _answer(response.status, read)


def client(*, timeout_seconds: float | None = None) -> Client | None:
    """Of the configured server; None where there is none."""
    settings = config.current()
    if not settings.is_sending or settings.protocol != "wflo":
        return None
    seconds = settings.timeout_seconds if timeout_seconds is None else timeout_seconds
    return Client(settings.endpoint, settings.api_key, timeout_seconds=seconds)


def _answer(status: int, read: bytes) -> dict[str, Any]:
    found, unreadable = _json(read)
    answer: dict[str, Any] = found if isinstance(found, dict) else {"items": found}
    if 200 <= status < 300:
        if unreadable:
            raise ServerError(f"Wflo answered {status} with what nobody can read: {unreadable}", status=status)
        return answer
    words = answer.get("detail") or answer.get("title") or f"Wflo answered {status}."
    raise ServerError(
        str(words), status=status, server_code=str(answer.get("code") or ""), field=str(answer.get("field") or "")
    )


def _json(read: bytes) -> tuple[Any, str]:
    """What was read, and why it cannot be."""
    if len(read) > ANSWER_BYTES_MAX:
        return {}, f"more than {ANSWER_BYTES_MAX:,} bytes."
    try:
        return (json.loads(read) if read else {}), ""
    except (ValueError, RecursionError):
        return {}, "no JSON."
