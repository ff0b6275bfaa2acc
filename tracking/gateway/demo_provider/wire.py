"""Server-sent events, as providers write them."""

from __future__ import annotations

from typing import Any

import orjson

from tracking.gateway.dialects.sse import event


def chunk(data: dict[str, Any]) -> bytes:
    return event(orjson.dumps(data))


def named(data: dict[str, Any]) -> bytes:
    """An event that is named by the type of its data."""
    return event(orjson.dumps(data), str(data["type"]))


def done() -> bytes:
    return event(b"[DONE]")
