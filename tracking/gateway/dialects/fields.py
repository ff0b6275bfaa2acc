"""Fields of a request, read with the error that names them."""

from __future__ import annotations

from typing import Any

from tracking.errors import InvalidCall

MODEL_CHARS_MAX = 200
TOKENS_ASKED_MAX = 10_000_000


def model_of(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise InvalidCall("model must name a model or a model group.", field="model")
    if len(model) > MODEL_CHARS_MAX or not model.isprintable():
        raise InvalidCall(f"model must be printable text of at most {MODEL_CHARS_MAX} characters.", field="model")
    return model.strip()


def count(body: dict[str, Any], name: str, *, least: int = 1, most: int = TOKENS_ASKED_MAX) -> int | None:
    """A whole number, or None where there is none."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidCall(f"{name} must be a whole number from {least} to {most:,}.", field=name)
    return value


def text(body: dict[str, Any], name: str, *, most: int = 256) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidCall(f"{name} must be text.", field=name)
    return value[:most].replace("\0", "\N{REPLACEMENT CHARACTER}")
