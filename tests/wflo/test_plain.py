"""What hosts hand over becomes plain, bounded JSON, and none of their code is run for it."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from wflo.plain import plain, to_json


class Colour(Enum):
    RED = "red"


class Shouting:
    def __repr__(self) -> str:
        raise AssertionError("nobody asked")

    __str__ = __repr__  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


class Lying(dict[str, int]):
    def items(self) -> Any:
        raise AssertionError("nobody asked")


class Answer(BaseModel):
    text: str
    parts: list[int] = []


@dataclass
class Point:
    x: int
    y: Any = None


@dataclass(slots=True)
class Slotted:
    x: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True, "x"]}, {"a": [1, 2.5, None, True, "x"]}),
        ((1, {2}, frozenset((3,)), deque([4])), [1, [2], [3], [4]]),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        (OrderedDict(a=1), {"a": 1}),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Colour.RED, "red"),
        (b"abc", "<3 bytes>"),
        (float("nan"), "nan"),
        (10**400, "<int of 1329 bits>"),
        (Answer(text="x", parts=[1]), {"text": "x", "parts": [1]}),
        (Point(1, Slotted(2)), {"x": 1, "y": {"x": 2}}),
        (ValueError("no", 3), "ValueError: ['no', 3]"),
    ],
)
def test_known_types_are_told_by_their_fields(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_nobodys_code_is_run() -> None:
    found = plain({"a": Shouting(), "b": Lying(x=1), "c": count(), "d": (n for n in count())})
    assert found["a"] == f"<{Shouting.__module__}.Shouting>"
    assert found["b"] == {"x": 1}
    assert found["c"] == "<itertools.count>"
    assert found["d"] == "<builtins.generator>"


def test_circles_depth_and_size_have_an_end() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    deep: Any = "x"
    for _ in range(10_000):
        deep = [deep]
    for value in (circle, deep, list(range(10**6)), {n: n for n in range(10**6)}, ["x" * 1000] * 10**5):
        assert len(to_json(plain(value, 10_000))) < 3_000_000


def test_texts_are_cut_and_it_is_said() -> None:
    assert plain("x" * 20, 10) == "x" * 10 + "… [10 characters more]"
    assert plain(["x" * 8, "y" * 8], 10) == ["x" * 8, "yy… [6 characters more]"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


@given(json_values)
def test_json_stays_as_it_is(value: Any) -> None:
    assert json.loads(to_json(plain(value))) == value
