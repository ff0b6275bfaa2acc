"""State as JSON and back: what a checkpoint holds. No pickle: nothing that is read can run anything.

Dicts, lists, texts and numbers are themselves. What JSON has no word for is an object with one key more, ``__wflo__``:
sets, tuples, times, bytes, decimals, UUIDs, enums, pydantic models, dataclasses, attrs instances. A value of any other type
is kept as what ``repr`` says of it, and its place is listed as lossy; it comes back as that text.
"""

from __future__ import annotations

import base64
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

from wflo.errors import CheckpointError
from wflo.plain import fields_of

MARK = "__wflo__"
DEPTH_MAX = 100
REPR_CHARACTERS = 2_000
LOSSY_MAX = 100  # paths that are listed

_SEQUENCES: dict[type, str] = {set: "set", frozenset: "frozenset", tuple: "tuple", deque: "deque"}
_TEXTS: dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    datetime: ("datetime", datetime.isoformat, datetime.fromisoformat),
    date: ("date", date.isoformat, date.fromisoformat),
    time: ("time", time.isoformat, time.fromisoformat),
    timedelta: ("timedelta", lambda value: str(value.total_seconds()), lambda text: timedelta(seconds=float(text))),
    Decimal: ("decimal", str, Decimal),
    UUID: ("uuid", str, UUID),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
    bytearray: ("bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
}
_READERS = {name: read for name, _, read in _TEXTS.values()}
_MAKERS: dict[str, Callable[[list[Any]], Any]] = {"set": set, "frozenset": frozenset, "tuple": tuple, "deque": deque}


@dataclass(slots=True)
class Encoded:
    """``value`` is JSON; ``lossy_paths`` like ``state.messages[3].client``."""

    value: Any
    lossy_paths: list[str] = field(default_factory=list)


def encode(value: Any) -> Encoded:
    """Raises CheckpointError for a state that goes round in circles or is nested deeper than DEPTH_MAX."""
    out = Encoded(None)
    out.value = _encode(value, "state", 0, out.lossy_paths)
    return out


def decode(value: Any) -> Any:
    """The inverse. A class is given back as itself where it is imported in this process already, else as a dict."""
    if isinstance(value, list):
        return [decode(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(MARK)
    if kind is None:
        return {key: decode(inner) for key, inner in value.items()}
    if kind in _MAKERS:
        return _MAKERS[kind]([decode(inner) for inner in value["items"]])
    if kind in _READERS:
        return _READERS[kind](value["text"])
    if kind == "float":
        return float(value["text"])
    if kind == "pairs":
        return {decode(key): decode(inner) for key, inner in value["items"]}
    if kind == "repr":
        return value["text"]
    return _instance(kind, value)


def _encode(value: Any, path: str, depth: int, lossy: list[str]) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if depth > DEPTH_MAX:
        raise CheckpointError(
            f"{path[:200]}: the state goes round in circles, or is nested deeper than {DEPTH_MAX} levels."
        )
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else {MARK: "float", "text": str(value)}
    if isinstance(value, dict):
        return _encode_dict(value, path, depth, lossy)
    if isinstance(value, list):
        return [_encode(inner, f"{path}[{place}]", depth + 1, lossy) for place, inner in enumerate(value)]
    for known, name in _SEQUENCES.items():
        if isinstance(value, known) and not hasattr(value, "_fields"):
            items = [*cast(Iterable[Any], value)]
            if known in (set, frozenset):
                items.sort(key=repr)
            return {MARK: name, "items": [_encode(one, f"{path}[]", depth + 1, lossy) for one in items]}
    if kind in _TEXTS:
        name, text, _ = _TEXTS[kind]
        return {MARK: name, "text": text(value)}
    return _encode_object(value, kind, path, depth, lossy)


def _encode_dict(value: dict[Any, Any], path: str, depth: int, lossy: list[str]) -> Any:
    if all(type(key) is str for key in value) and MARK not in value:
        return {key: _encode(inner, f"{path}.{key}", depth + 1, lossy) for key, inner in value.items()}
    items = [
        [_encode(key, f"{path}.key", depth + 1, lossy), _encode(inner, f"{path}[{key!r:.60}]", depth + 1, lossy)]
        for key, inner in value.items()
    ]
    return {MARK: "pairs", "items": items}


def _encode_object(value: Any, kind: type, path: str, depth: int, lossy: list[str]) -> Any:
    named = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, Enum):
        return {MARK: "enum", "type": named, "value": _encode(value.value, path, depth + 1, lossy)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {MARK: "object", "type": named, "value": _encode_dict(value._asdict(), path, depth, lossy)}
    fields = fields_of(value)
    if fields is not None:
        return {MARK: "object", "type": named, "value": _encode_dict(fields, path, depth, lossy)}
    if isinstance(value, str | int):
        return _encode(str.__str__(value) if isinstance(value, str) else int.__int__(value), path, depth, lossy)
    if len(lossy) < LOSSY_MAX:
        lossy.append(path)
    return {MARK: "repr", "type": named, "text": _repr(value)}


def _repr(value: Any) -> str:
    try:
        return repr(value)[:REPR_CHARACTERS]
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def _instance(kind: str, value: dict[str, Any]) -> Any:
    inner = decode(value.get("value"))
    module, _, name = str(value.get("type", "")).rpartition(".")
    found: Any = getattr(sys.modules.get(module), name, None)
    try:
        if kind == "enum" and isinstance(found, type) and issubclass(found, Enum):
            return found(inner)
        if isinstance(found, type) and isinstance(inner, dict):
            validate = getattr(found, "model_validate", None)
            if validate is not None:
                return validate(inner)
            if is_dataclass(found) or hasattr(found, "__attrs_attrs__") or hasattr(found, "_fields"):
                return found(**inner)
    except Exception:
        return inner  # the class has changed since
    return inner
