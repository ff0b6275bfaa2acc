"""Answers that fit a type: nested, optional, unions, enums, lists; by schema or by words; repaired, or failing with the last answer kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from wflo.agents import Client, Scripted, StructuredOutputError, structured_complete
from wflo.agents.structured import REPAIRS_MAX, Form


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Address(BaseModel):
    street: str
    zip: str | None = None


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    mood: Mood
    home: Address
    tags: list[str] = []


class Open(BaseModel, extra="allow"):
    name: str


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


@dataclass
class Point:
    x: float
    y: float


VALUES: list[tuple[Any, Any, Any]] = [
    (
        Person,
        {"name": "Ann", "age": 30, "mood": "good", "home": {"street": "A"}},
        Person(name="Ann", age=30, mood=Mood.GOOD, home=Address(street="A")),
    ),
    (Cat | Dog, {"value": {"kind": "dog", "tricks": ["sit"]}}, Dog(kind="dog", tricks=["sit"])),
    (list[int], {"value": [1, 2]}, [1, 2]),
    (list[int], [1, 2], [1, 2]),
    (Mood, {"value": "bad"}, Mood.BAD),
    (bool, {"value": True}, True),
    (Point, {"x": 1, "y": 2}, Point(1.0, 2.0)),
    (dict[str, int], {"value": {"a": 1}}, {"a": 1}),
    (int | None, {"value": None}, None),
]


def asked(of: Any, *turns: Any, **more: Any) -> Any:
    return asyncio.run(structured_complete("x", of, ask=Scripted(turns), **more))


@pytest.mark.parametrize(("of", "said", "value"), VALUES)
def test_types_of_every_kind(of: Any, said: Any, value: Any) -> None:
    assert asked(of, json.dumps(said)) == value


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here it is: {} I hope it helps.", "```\n{}\n```"])
def test_json_may_stand_among_words(around: str) -> None:
    assert asked(Address, around.replace("{}", '{"street": "A"}', 1)) == Address(street="A")


def test_what_does_not_fit_is_sent_back_with_what_is_wrong() -> None:
    script = Scripted(['{"street": 5}', "sorry", '{"street": "A"}'])
    assert asyncio.run(structured_complete("x", Address, ask=script)) == Address(street="A")
    assert "street: Input should be a valid string" in script.requests[1].messages[-1]["content"]
    assert "there is no JSON in the answer" in script.requests[2].messages[-1]["content"]
    assert script.requests[2].messages[-2] == {"role": "assistant", "content": "sorry"}


def test_after_the_repairs_the_last_answer_is_kept() -> None:
    script = Scripted(["no", "never", "not at all"])
    with pytest.raises(StructuredOutputError, match="No answer of 3 fits Address: there is no JSON") as caught:
        asyncio.run(structured_complete("x", Address, ask=script))
    assert caught.value.last_answer == "not at all"
    assert len(script.requests) == REPAIRS_MAX + 1


class KeepsSchemas(Scripted):
    takes_schemas = True


def test_a_provider_that_keeps_schemas_gets_one_and_others_are_told_in_words() -> None:
    script = KeepsSchemas(['{"street": "A", "zip": null}'])
    asyncio.run(structured_complete("x", Address, ask=script))
    told = script.requests[0].response_format
    assert told is not None
    assert told["json_schema"]["name"] == "Address"
    assert told["json_schema"]["strict"] is False  # zip may be left out
    assert script.requests[0].messages[-1]["content"] == "x"
    plain = Scripted(['{"street": "A"}'])
    asyncio.run(structured_complete("x", Address, ask=plain))
    assert plain.requests[0].response_format is None
    assert '"street"' in plain.requests[0].messages[-1]["content"]


def test_a_schema_is_strict_where_every_field_is_needed() -> None:
    told = Form[Any](Cat | Dog).response_format["json_schema"]
    assert told["strict"] is True
    assert told["schema"]["additionalProperties"] is False
    assert told["schema"]["$defs"]["Cat"]["additionalProperties"] is False
    assert Form[Any](dict[str, int]).response_format["json_schema"]["strict"] is False
    assert Form[Any](Open).response_format["json_schema"]["strict"] is False


def test_the_demo_model_answers_the_schema_asked_for() -> None:
    found = asyncio.run(structured_complete("a person", Person, model="demo/json"))
    assert isinstance(found, Person)


def test_a_client_remembers_a_structured_answer() -> None:
    script = Scripted(['{"street": "A"}', "A it was"])
    client = Client(ask=script)

    async def work() -> None:
        await client.structured_complete("where?", Address)
        await client.complete("which street?")

    asyncio.run(work())
    assert [message["content"] for message in script.requests[-1].messages[1:]] == [
        "where?",
        '{"street":"A","zip":null}',
        "which street?",
    ]
