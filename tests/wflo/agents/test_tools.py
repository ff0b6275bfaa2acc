"""Tools from functions of every kind; arguments checked; whatever goes wrong said to the model."""

from __future__ import annotations

import asyncio
import functools
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from wflo.agents import Scripted, Tool, complete, declare, tool
from wflo.agents.tools import RESULT_CHARS_MAX, Declared, declared_of, tools_of


class Unit(Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Place(BaseModel):
    city: str
    country: str = "CH"


@dataclass
class Point:
    x: int
    y: int


def called(function: Any, arguments: Any) -> Any:
    return asyncio.run(tool(function).call(arguments))


def weather(city: str, days: int = 1, unit: Unit = Unit.CELSIUS, tags: list[str] | None = None) -> str:
    """What the weather will be.

    It is a forecast.

    Args:
        city: Where.
        days: How far ahead,
            in days.
    """
    return f"{city} {days} {unit.name} {tags}"


def test_a_schema_is_what_hints_and_docstring_say() -> None:
    made = tool(weather)
    assert (made.name, made.description) == ("weather", "What the weather will be.\n\nIt is a forecast.")
    properties = made.parameters["properties"]
    assert properties["city"] == {"type": "string", "description": "Where."}
    assert properties["days"] == {"type": "integer", "default": 1, "description": "How far ahead,\nin days."}
    assert made.parameters["$defs"]["Unit"]["enum"] == ["c", "f"]
    assert made.parameters["required"] == ["city"]
    assert made.parameters["additionalProperties"] is False
    assert made.spec["type"] == "function"


@pytest.mark.parametrize(
    "docstring",
    [
        "Adds.\n\n:param a: the first\n:param b: the second",
        "Adds.\n\nParameters\n----------\na : int\n    the first\nb : int\n    the second",
    ],
)
def test_docstrings_of_other_styles(docstring: str) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    add.__doc__ = docstring
    properties = tool(add).parameters["properties"]
    assert (properties["a"]["description"], properties["b"]["description"]) == ("the first", "the second")


def test_values_come_as_their_types_and_defaults_are_the_functions_own() -> None:
    assert called(weather, '{"city": "Bern", "unit": "f", "days": "3"}').text == "Bern 3 FAHRENHEIT None"

    def go(place: Place, to: Point, how: Literal["rail", "road"] = "rail") -> str:
        return f"{type(place).__name__} {place.country} {type(to).__name__} {to.y} {how}"

    assert called(go, {"place": {"city": "Bern"}, "to": {"x": 1, "y": 2}}).text == "Place CH Point 2 rail"


class Desk:
    def look(self, drawer: int) -> str:
        """Look into a drawer."""
        return f"drawer {drawer}"

    def __call__(self, note: str) -> str:
        """Take a note."""
        return f"noted {note}"

    @classmethod
    def make(cls, size: int) -> str:
        return f"made {size}"

    @staticmethod
    def burn(what: str) -> str:
        return f"burnt {what}"


async def later(word: str) -> str:
    await asyncio.sleep(0)
    return f"later {word}"


def positional(a: int, /, b: int) -> int:
    return a - b


@pytest.mark.parametrize(
    ("function", "name", "arguments", "text"),
    [
        (Desk().look, "look", {"drawer": 2}, "drawer 2"),
        (Desk(), "Desk", {"note": "x"}, "noted x"),
        (Desk.make, "make", {"size": 3}, "made 3"),
        (Desk.burn, "burn", {"what": "it"}, "burnt it"),
        (functools.partial(weather, days=5), "weather", {"city": "Rom"}, "Rom 5 CELSIUS None"),
        (lambda x: x * 2, "lambda", {"x": 4}, "8"),
        (later, "later", {"word": "x"}, "later x"),
        (functools.partial(later, word="y"), "later", {}, "later y"),
        (positional, "positional", {"a": 5, "b": 2}, "3"),
        (lambda **anything: sorted(anything), "lambda", {"b": 1, "a": 2}, '["a", "b"]'),
        (lambda *rest: len(rest), "lambda", {}, "0"),
        (lambda: None, "lambda", "", "None"),
        (lambda: Place(city="Bern"), "lambda", {}, '{"city":"Bern","country":"CH"}'),
    ],
)
def test_functions_of_every_kind(function: Any, name: str, arguments: Any, text: str) -> None:
    made = tool(function)
    assert made.name == name
    result = asyncio.run(made.call(arguments))
    assert (result.text, result.is_error) == (text, False)
    assert made.description


def test_parameters_may_be_called_what_pydantic_keeps_to_itself() -> None:
    def odd(model_config: str, schema: int, _hidden: str = "h", json: str = "j") -> str:
        return f"{model_config} {schema} {_hidden} {json}"

    assert called(odd, {"model_config": "a", "schema": 1, "_hidden": "z"}).text == "a 1 z j"


def test_a_sync_tool_runs_beside_the_loop() -> None:
    def where() -> str:
        return threading.current_thread().name

    assert called(where, {}).text != threading.current_thread().name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{bad", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"days": 1}', "city: Field required"),
        ('{"city": "x", "days": "soon"}', "days: Input should be a valid integer"),
        ('{"city": "x", "shoe": 1}', "shoe: Extra inputs are not permitted"),
    ],
)
def test_arguments_that_do_not_fit_are_told(arguments: str, said: str) -> None:
    result = called(weather, arguments)
    assert result.is_error
    assert said in result.text
    assert result.text.startswith("Error: weather was not called")


def test_what_a_tool_raises_is_told() -> None:
    def broken() -> str:
        raise RuntimeError("the pump is off")

    result = called(broken, {})
    assert (result.is_error, result.text) == (True, "Error: broken failed: RuntimeError: the pump is off")


def test_an_answer_without_end_is_cut_and_says_so() -> None:
    result = called(lambda: "x" * (RESULT_CHARS_MAX + 5), {})
    assert result.text.endswith("[5 characters more were left out]")


def test_a_decorator_names_it_anew_and_a_tool_stays_one() -> None:
    @tool(name="forecast", description="Say what comes.")
    def weather_of(city: str) -> str:
        return city

    assert isinstance(weather_of, Tool)
    assert (weather_of.name, weather_of.description) == ("forecast", "Say what comes.")
    assert tool(weather_of) is weather_of


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="A tool is a function, not Ellipsis"):
        tools_of([...])  # type: ignore[list-item]


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match='Two tools are named "weather"'):
        tools_of([weather, weather])


def test_a_name_no_provider_takes_is_made_one() -> None:
    function = functools.partial(lambda: "x")
    assert tool(function).name == "lambda"


class TestBasicToolCalling:
    """What ``wflo agents run-tests -c TestBasicToolCalling`` runs."""

    def test_single_tool_call(self) -> None:
        script = Scripted([[("weather", {"city": "Tokyo"})], "It is fine in Tokyo."])
        result = asyncio.run(complete("Weather in Tokyo?", ask=script, tools=[weather]))
        assert (result.final_response, result.tool_calls_made) == ("It is fine in Tokyo.", 1)
        assert result.tool_execution_history == [
            {"tool_name": "weather", "arguments": {"city": "Tokyo"}, "result": "Tokyo 1 CELSIUS None", "error": False}
        ]

    def test_the_demo_model_uses_the_tool_it_is_offered(self) -> None:
        result = asyncio.run(complete("What is the weather in Tokyo?", model="demo/agent", tools=[weather]))
        assert result.tool_calls_made == 1
        assert "weather said" in result.final_response


def test_what_a_function_does_to_the_world_is_declared_on_it() -> None:
    def back(arguments: dict[str, Any], result: str) -> str:
        return "undone"

    @declare(effect="read")
    def look() -> str:
        return "seen"

    @tool(name="sell")
    @declare(effect="write", undo=back, risk="high")
    def sold() -> str:
        return "sold"

    declared = declare(effect="read")(tool(lambda: 1))
    assert (declared_of(look).effect, look()) == ("read", "seen")
    assert declared_of(sold) == Declared("write", back, "high")
    assert declared_of(declared).effect == "read"
    assert declared_of(back) == Declared("write", None, ""), "what nobody declared may change anything"
    for wrong in ({"effect": "fly"}, {"risk": "severe"}):
        with pytest.raises(ValueError, match="there are"):
            declare(**wrong)
    with pytest.raises(TypeError, match="a function of its own"):
        declare(effect="read")(len)
