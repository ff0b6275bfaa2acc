"""Values of a graph's channels as JSON, readable where that is exact, and back.

Plain values, times, sets and the like, and LangChain's messages are written as ``wflo.states`` has them: a list that grows is
stored item by item, each once. What would not come back byte for byte as LangGraph's own serialiser writes it goes as that
serialiser's bytes, with ``shown`` beside it for people.
"""

from __future__ import annotations

import base64
from typing import Any

import langchain_core.messages  # its classes are found again by name  # noqa: F401

from wflo.errors import CheckpointError
from wflo.plain import plain
from wflo.states import MARK, decode, encode

KIND = "langgraph"
SHOWN_CHARACTERS = 2_000
_READABLE = ("langchain_core.messages.",)  # whose classes are written by their fields


def pack(serde: Any, value: Any, *, is_secret: bool = False) -> Any:
    """``serde``: LangGraph's serialiser. ``is_secret``: it encrypts, so nothing is shown beside what it writes."""
    if type(value) is list:
        return [pack(serde, item, is_secret=is_secret) for item in value]
    if not is_secret:
        readable = _readable(serde, value)
        if readable is not None:
            return readable[0]
    kind, data = serde.dumps_typed(value)
    packed = {MARK: KIND, "kind": kind, "data": base64.b64encode(data).decode("ascii")}
    return packed if is_secret else packed | {"shown": plain(value, SHOWN_CHARACTERS)}


def unpack(serde: Any, value: Any) -> Any:
    """The inverse."""
    if isinstance(value, list):
        return [unpack(serde, item) for item in value]
    if isinstance(value, dict) and value.get(MARK) == KIND:
        return serde.loads_typed((value["kind"], base64.b64decode(value["data"])))
    return decode(value)


def _readable(serde: Any, value: Any) -> tuple[Any] | None:
    if value is None or type(value) in (bool, int, str):
        return (value,)
    try:
        encoded = encode(value)
        if encoded.lossy_paths or not _is_ours(encoded.value):
            return None
        return (encoded.value,) if serde.dumps_typed(decode(encoded.value)) == serde.dumps_typed(value) else None
    except (CheckpointError, TypeError, ValueError):
        return None


def _is_ours(value: Any) -> bool:
    """Whether all of its classes are known to every process that reads it."""
    if isinstance(value, list):
        return all(_is_ours(item) for item in value)
    if not isinstance(value, dict):
        return True
    if value.get(MARK) in ("object", "enum") and not str(value.get("type")).startswith(_READABLE):
        return False
    return value.get(MARK) != KIND and all(_is_ours(item) for item in value.values())
