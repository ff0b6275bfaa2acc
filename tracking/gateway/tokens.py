"""How many tokens a prompt can be: never fewer than the truth, and a count near it where that matters.

A byte-level tokenizer makes at most one token of a byte, so the bytes of a request bound its tokens; that costs nothing
to know and is three or four times too many. Near the end of a budget the text is counted instead, with OpenAI's
``o200k_base`` (its table ships with litellm's package), and other makers' tokenizers get a margin.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tracking.gateway.dialects.counts import Tokens

MESSAGE_TOKENS = 4  # the role and the separators around each message
IMAGE_TOKENS = 6_000  # the dearest picture of a large model; gpt-4o-mini's count more
IMAGE_TOKENS_MINI = 50_000
_MARGINS = {"openai": 1.0, "azure": 1.0, "anthropic": 1.5}
_MARGIN = 1.1  # reliability 4.1
_DATA_URL = "data:"
_PICTURES = frozenset({"image_url", "image", "input_image", "input_file", "file", "document"})
_FRAME = frozenset({"role", "content", "type", "text"})  # of a message's JSON: the model is not told these words
_FRAME_VALUES = frozenset({"role", "type"})
_PIECE = 20_000  # characters handed to the tokenizer at once; a cut costs one token at most


def bound(prompt: Any, *, model: str) -> int:
    """At least as many tokens as the prompt can be."""
    found = _collect(prompt)
    size = sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in found.texts)
    return size + found.beside_text(model)


def count(prompt: Any, *, provider: str, model: str) -> int:
    """About as many tokens as the prompt is, with a margin upward for tokenizers that are not OpenAI's."""
    found = _collect(prompt, without=_FRAME)
    tokens = sum(_tokens(text) for text in found.texts)
    return int(tokens * _MARGINS.get(provider, _MARGIN)) + found.beside_text(model)


def estimate(text: str, pieces: int = 0) -> int:
    """Tokens of an answer whose provider did not say: pieces of a stream are about a token each."""
    if pieces and len(text) <= 8 * pieces:
        return pieces
    return _tokens(text)


def _tokens(text: str) -> int:
    encoder = _encoder()
    if encoder is None:
        return len(text.encode("utf-8", "replace"))
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return sum(len(encoder.encode_ordinary(piece)) for piece in pieces)


@cache
def _encoder() -> Any:
    """tiktoken with the table beside litellm's code; nothing is fetched. None when it is not there."""
    found = importlib.util.find_spec("litellm")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "litellm_core_utils" / "tokenizers"
    if not (folder / "fb374d419588a4632f3f557e76b4b70aebbca790").exists():  # o200k_base's, as tiktoken names it
        return None
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(folder))
    import tiktoken

    return tiktoken.get_encoding("o200k_base")


def _image_tokens(model: str) -> int:
    return IMAGE_TOKENS_MINI if "mini" in model else IMAGE_TOKENS


@dataclass(slots=True)
class _Found:
    texts: list[str] = field(default_factory=list)
    images: int = 0
    messages: int = 0
    tokens: int = 0  # counted elsewhere

    def beside_text(self, model: str) -> int:
        return self.messages * MESSAGE_TOKENS + self.images * _image_tokens(model) + self.tokens


def _collect(root: Any, *, without: frozenset[str] = frozenset()) -> _Found:
    found = _Found()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if value.startswith(_DATA_URL) and len(value) > 200:
                found.images += 1
            else:
                found.texts.append(value)
        elif isinstance(value, dict):
            if value.get("type") in _PICTURES and not _is_written(value):
                found.images += 1
                continue
            found.messages += "role" in value
            found.texts.extend(name for name in value if name not in without)
            waiting.extend(item for name, item in value.items() if name not in without or name not in _FRAME_VALUES)
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, Tokens):
            found.tokens += value
        elif value is not None:
            found.texts.append("00000000" if isinstance(value, int | float) else "")
    return found


def _is_written(value: dict[str, Any]) -> bool:
    """Anthropic's documents may be plain text."""
    source = value.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")
