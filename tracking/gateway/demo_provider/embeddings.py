"""OpenAI's embeddings, as a demo model answers them: the same text has the same vector, and no meaning."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

from wflo.demo.scripts import tokens_of

DIMENSIONS = 64
DIMENSIONS_MAX = 3_072


def whole(body: dict[str, Any], model: str) -> dict[str, Any]:
    texts = _texts(body.get("input"))
    wanted = body.get("dimensions")
    size = min(wanted, DIMENSIONS_MAX) if isinstance(wanted, int) and wanted > 0 else DIMENSIONS
    in_base64 = body.get("encoding_format") == "base64"
    tokens = sum(len(text) if isinstance(text, list) else max(tokens_of(text), 1) for text in texts)
    data = [
        {"object": "embedding", "index": place, "embedding": _encoded(vector(str(text), size), in_base64)}
        for place, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def vector(text: str, size: int) -> list[float]:
    """Of length 1, from the text's hash."""
    bytes_ = hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * size)
    raw = [value / 32_768 - 1 for value in struct.unpack(f"<{size}H", bytes_)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [value / length for value in raw]


def _texts(given: Any) -> list[Any]:
    """A text, texts, or the same as tokens' numbers."""
    if not isinstance(given, list):
        return [str(given)]
    return [given] if given and isinstance(given[0], int) else given


def _encoded(values: list[float], in_base64: bool) -> Any:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode() if in_base64 else values
