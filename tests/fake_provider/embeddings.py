"""OpenAI's embeddings."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import TYPE_CHECKING, Any

from tests.fake_provider import wire
from tests.fake_provider.script import tokens_of

if TYPE_CHECKING:
    from tests.fake_provider.provider import Provider

VECTOR = [0.25, -0.5, 1.0]


async def answer(provider: Provider, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    asked = body["input"]
    many = asked if isinstance(asked, list) and not isinstance(asked[0], int) else [asked]
    tokens = sum(len(one) if isinstance(one, list) else tokens_of(str(one)) for one in many)
    vector: Any = VECTOR
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    provider.paid(body, tokens, 0)
    data = [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(many))]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    said: dict[str, Any] = {"object": "list", "data": data, "model": body["model"]}
    if "nousage" not in str(body["model"]):
        said["usage"] = usage
    await wire.send(writer, 200, said)
