"""Any value as plain JSON values, bounded, without running anybody's code.

What a host hands over may have a ``__repr__`` that raises or takes ten seconds, go round in circles, or be endless. So
nothing of it is called: known types are read by their fields, all others are told by the name of their type.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from json import encoder
from pathlib import PurePath
from typing import Any
from uuid import UUID

NODES_MAX = 20_000
DEPTH_MAX = 24
_TEXTS = (Decimal, UUID, datetime, date, time, timedelta)
_SEQUENCES = (list, tuple, set, frozenset, deque)
_INT_BITS_MAX = 256

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _encode_by_parts() -> Callable[[Any], str]:
    """``json`` makes its C encoder anew for each value, which takes longer than most values do: this keeps one. Where there is
    none, or it is made another way, it is the usual one."""
    try:
        make = getattr(encoder, "c_make_encoder", None)
        parts = make(None, _encoder.default, encoder.encode_basestring, None, ":", ",", False, False, False)  # type: ignore[misc]
        if "".join(parts({"a": [1, "é", None]}, 0)) == '{"a":[1,"é",null]}':
            return lambda value: "".join(parts(value, 0))
    except TypeError:
        pass
    return _encoder.encode


_encode = _encode_by_parts()


def to_json(value: Any) -> str:
    """JSON text of plain values (``plain`` makes them so)."""
    return _encode(value)


def plain(value: Any, characters: int = 100_000) -> Any:
    """None, bool, int, float, str, list and dict of such; texts and the whole no longer than ``characters``."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= characters else _cut(value, characters)
    if value is None or kind is bool or (kind is int and value.bit_length() <= _INT_BITS_MAX):
        return value
    return _Reader(characters).read(value, 0)


def _cut(text: str, characters: int) -> str:
    return f"{text[:characters]}… [{len(text) - characters} characters more]"


class _Reader:
    def __init__(self, characters: int) -> None:
        self.characters = characters
        self.nodes = NODES_MAX

    def read(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if value.bit_length() <= _INT_BITS_MAX else f"<int of {value.bit_length()} bits>"
        if kind is float:
            return value if math.isfinite(value) else str(value)
        self.nodes -= 1
        if self.nodes < 0:
            return "… [more than can be kept]"
        if depth > DEPTH_MAX:
            return "… [nested deeper than can be kept]"
        if isinstance(value, dict):
            return self._mapping(value, depth)
        if isinstance(value, _SEQUENCES):
            return self._sequence(value, depth)
        return self._other(value, kind, depth)

    def _text(self, value: str) -> str:
        found = value if len(value) <= self.characters else _cut(value, max(self.characters, 0))
        self.characters -= len(found)
        return found

    def _mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, inner in dict.items(value):
            if self.nodes < 0:
                break
            self.nodes -= 1
            found[key if type(key) is str else str(self.read(key, depth + 1))] = self.read(inner, depth + 1)
        return found

    def _sequence(self, value: Any, depth: int) -> list[Any]:
        base = next(one for one in _SEQUENCES if isinstance(value, one))
        found = []
        for inner in base.__iter__(value):
            if self.nodes < 0:
                break
            self.nodes -= 1
            found.append(self.read(inner, depth + 1))
        return found

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.read(value._value_, depth + 1)
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, bool | int):
            return int.__int__(value) if int.bit_length(value) <= _INT_BITS_MAX else "<int>"
        if isinstance(value, float):
            return float.__repr__(value)
        if kind in _TEXTS or isinstance(value, PurePath):
            return str(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if isinstance(value, BaseException):
            return f"{kind.__name__}: {self.read(list(value.args), depth + 1)}"
        fields = fields_of(value)
        return f"<{kind.__module__}.{kind.__qualname__}>" if fields is None else self._mapping(fields, depth)


def fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a pydantic model, dataclass or attrs instance, as they lie in it; None for any other object."""
    kind = type(value)
    names: Any = None
    for marker in ("__pydantic_fields__", "__dataclass_fields__", "model_fields"):
        found = kind.__dict__.get(marker) or next(
            (base.__dict__[marker] for base in kind.__mro__ if marker in base.__dict__), None
        )
        if isinstance(found, dict):
            names = list(found)
            break
    else:
        attributes = next(
            (base.__dict__["__attrs_attrs__"] for base in kind.__mro__ if "__attrs_attrs__" in base.__dict__), None
        )
        if attributes is not None:
            names = [one.name for one in attributes]
    if names is None:
        return None
    own = _own(value)
    if own is not None:
        extra = own.get("__pydantic_extra__")
        return {name: own[name] for name in names if name in own} | (extra if isinstance(extra, dict) else {})
    slots = {}
    for name in names:
        try:
            slots[name] = object.__getattribute__(value, name)
        except AttributeError:
            continue
    return slots


def _own(value: Any) -> dict[str, Any] | None:
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if isinstance(found, dict) else None
