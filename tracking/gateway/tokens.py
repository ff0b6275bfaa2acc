"""How many tokens a prompt can be: never fewer than the truth, and a count near it where that matters.

A byte-level tokenizer makes at most one token of a byte, so the bytes of a request bound its tokens; that costs nothing
to know and is three or four times too many. Near the end of a budget the text is counted instead, with OpenAI's
``o200k_base`` (its table ships with litellm's package), and other makers' tokenizers get a margin.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

MESSAGE_TOKENS = 4  # the role and the separators around each message
IMAGE_TOKENS = 6_000  # the dearest picture of a large model; gpt-4o-mini's count more
IMAGE_TOKENS_MINI = 50_000
_MARGINS = {"openai": 1.0, "azure": 1.0, "anthropic": 1.5}
_MARGIN = 1.1  # reliability 4.1
_DATA_URL = "data:"
_FRAME = frozenset({"role", "content", "type", "text"})  # of a message's JSON: the model is not told these words
_FRAME_VALUES = frozenset({"role", "type"})
_PIECE = 20_000  # characters handed to the tokenizer at once; a cut costs one token at most


def bound(prompt: Any, *, model: str) -> int:
    """At least as many tokens as the prompt can be."""
    size, images, messages = _measure(prompt)
    return size + messages * MESSAGE_TOKENS + images * _image_tokens(model)


def count(prompt: Any, *, provider: str, model: str) -> int:
    """About as many tokens as the prompt is, with a margin upward for tokenizers that are not OpenAI's."""
    texts: list[str] = []
    images, messages = _collect(prompt, texts, without=_FRAME)
    tokens = sum(_tokens(text) for text in texts)
    margin = _MARGINS.get(provider, _MARGIN)
    return int(tokens * margin) + messages * MESSAGE_TOKENS + images * _image_tokens(model)


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


def _measure(value: Any) -> tuple[int, int, int]:
    """(bytes of all text, pictures, messages)."""
    texts: list[str] = []
    images, messages = _collect(value, texts)
    return (
        sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts),
        images,
        messages,
    )


def _collect(root: Any, texts: list[str], *, without: frozenset[str] = frozenset()) -> tuple[int, int]:
    images = messages = 0
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if value.startswith(_DATA_URL) and len(value) > 200:
                images += 1
            else:
                texts.append(value)
        elif isinstance(value, dict):
            if value.get("type") in ("image_url", "image", "input_image", "input_file", "file", "document"):
                images += 1
                continue
            messages += "role" in value
            texts.extend(name for name in value if name not in without)
            waiting.extend(item for name, item in value.items() if name not in without or name not in _FRAME_VALUES)
        elif isinstance(value, list):
            waiting.extend(value)
        elif value is not None:
            texts.append("00000000" if isinstance(value, int | float) else "")
    return images, messages
