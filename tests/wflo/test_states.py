"""State goes into JSON and comes back, without pickle."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from wflo.errors import CheckpointError
from wflo.states import MARK, decode, encode


class Colour(Enum):
    RED = "red"


class Note(BaseModel):
    text: str
    at: datetime
    tags: set[str] = set()


@dataclass
class Plan:
    steps: list[str]
    note: Note | None = None


class Pair(NamedTuple):
    left: int
    right: int


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=20)
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.times()
    | st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1)).map(
        lambda one: timedelta(seconds=round(one.total_seconds()))
    )
    | st.sampled_from(Colour),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.just(MARK), inner, max_size=4)
        | st.sets(st.integers() | st.text(), max_size=4)
        | st.frozensets(st.integers(), max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_it_comes_back_as_it_was(value: Any) -> None:
    found = encode({"state": value})
    assert decode(json.loads(json.dumps(found.value))) == {"state": value}
    assert found.lossy_paths == []


@pytest.mark.parametrize(
    "value",
    [
        Note(text="x", at=datetime(2026, 1, 1, tzinfo=UTC), tags={"a"}),
        Plan(["one"], Note(text="x", at=datetime(2026, 1, 1, tzinfo=UTC))),
        Pair(1, 2),
        deque([1, 2]),
        Decimal("NaN"),
        (date(2026, 1, 1), time(1, 2), UUID(int=5)),
    ],
)
def test_objects_come_back_where_their_class_is_known(value: Any) -> None:
    found = decode(json.loads(json.dumps(encode(value).value)))
    assert type(found) is type(value)
    assert found == value or found != found


def test_a_class_that_is_not_there_comes_back_as_a_dict() -> None:
    told = encode(Plan(["one"])).value
    told["type"] = "nobody.knows.Plan"
    assert decode(told) == {"steps": ["one"], "note": None}
    told["type"] = "os.system"
    assert decode(told) == {"steps": ["one"], "note": None}


def test_what_cannot_be_kept_is_listed() -> None:
    class Client:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    found = encode({"messages": [{"client": Client()}], "plan": Plan([lambda: 1])})  # type: ignore[list-item]
    assert found.lossy_paths == ["state.messages[0].client", "state.plan.steps[0]"]
    assert decode(found.value)["messages"] == [{"client": "<Client, whose repr raises RuntimeError>"}]


def test_circles_are_refused() -> None:
    state: dict[str, Any] = {}
    state["self"] = state
    with pytest.raises(CheckpointError, match="circles"):
        encode(state)
