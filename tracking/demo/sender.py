"""Sends requests to /v1/traces as an exporter would: kept connection, gzip, retries on 429 and 503."""

from __future__ import annotations

import gzip
import http.client
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from tracking.errors import Invalid, Unavailable

JSON, PROTOBUF = "application/json", "application/x-protobuf"
TRIES = 6
ANSWER_SECONDS = 60
RETRIED_EVERY = 25  # each such request is sent twice, as after a lost answer


@dataclass(slots=True)
class Sent:
    requests: int = 0
    bytes: int = 0
    rejected_spans: int = 0


def send(
    url: str,
    key: str,
    bodies: Iterable[bytes],
    *,
    content_type: str = JSON,
    told: Callable[[Sent], None] = lambda sent: None,
) -> Sent:
    """POST each body to ``{url}/v1/traces``. Raises Invalid when the server refuses, Unavailable when it stays away."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f"{url} is no address of a Wflo server.", field="url")
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname, parts.port, timeout=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": content_type, "Content-Encoding": "gzip"}
    path = f"{parts.path.rstrip('/')}/v1/traces"
    sent = Sent()
    try:
        for number, body in enumerate(bodies, start=1):
            packed = gzip.compress(body, compresslevel=1)
            for _ in range(2 if number % RETRIED_EVERY == 0 else 1):
                sent.rejected_spans += _post(connection, path, packed, headers)
                sent.requests += 1
                sent.bytes += len(packed)
            told(sent)
    finally:
        connection.close()
    return sent


def _post(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> int:
    """Returns how many spans were rejected."""
    trouble = "no answer"
    for attempt in range(TRIES):
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next request opens it again
            trouble = str(error) or type(error).__name__
        else:
            if response.status == 200:
                return _rejected(answer)
            trouble = f"{response.status} {answer[:300].decode(errors='replace')}"
            if response.status not in (429, 502, 503, 504):
                raise Invalid(f"The server refused the demo's spans: {trouble}")
        time.sleep(min(8.0, 0.25 * 2**attempt))
    raise Unavailable(f"{connection.host}:{connection.port} did not take the demo's spans: {trouble}")


def _rejected(answer: bytes) -> int:
    partial = orjson.loads(answer or b"{}").get("partialSuccess") or {}
    return int(partial.get("rejectedSpans") or 0)
