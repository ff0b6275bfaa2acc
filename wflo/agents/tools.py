"""Tools from plain functions: name, description and JSON schema from what is written there; arguments checked; errors as text.

A schema has JSON types from the type hints (pydantic's, whatever pydantic can read) and each parameter's words from the
docstring. A function may be sync (it runs in a thread, so that the loop goes on), async, a method, a partial, a lambda,
or an object that can be called.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

EFFECTS = ("read", "write")
RISKS = ("low", "medium", "high", "critical")
RESULT_CHARS_MAX = 200_000  # of what a tool answered that go back to the model
NAME_CHARS_MAX = 64
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """``text`` is for the model; ``value`` what the function gave back, None where it failed."""

    text: str
    is_error: bool = False
    value: Any = None
    arguments: Any = None  # as the model gave them, parsed where they could be


@dataclass(frozen=True, slots=True)
class Tool:
    """Something a model may call. ``parameters`` is a JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]
    function: Function = field(repr=False)
    arguments: type[BaseModel] | None = field(default=None, repr=False)  # None: taken as they come
    names: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # field of ``arguments`` -> parameter
    positional: tuple[str, ...] = field(default=(), repr=False)  # parameters that have no name for a caller
    is_async: bool = field(default=False, repr=False)

    @property
    def spec(self) -> dict[str, Any]:
        """In OpenAI's form."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}

    async def call(self, arguments: str | dict[str, Any]) -> ToolResult:
        """What the function says of arguments in JSON. Never raises, but when it is cancelled."""
        given: Any = arguments
        try:
            given = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
            keywords = self._checked(given)
        except (ValueError, TypeError) as error:  # pydantic's and json's faults are ValueErrors
            return ToolResult(f"Error: {self.name} was not called: {_fault(error)}", is_error=True, arguments=given)
        try:
            first = [keywords.pop(name) for name in self.positional if name in keywords]
            if self.is_async:
                value = await self.function(*first, **keywords)
            else:
                value = await asyncio.to_thread(self.function, *first, **keywords)
                if inspect.isawaitable(value):
                    value = await value
        except Exception as error:  # it is the model's to deal with
            return ToolResult(
                f"Error: {self.name} failed: {type(error).__name__}: {error}", is_error=True, arguments=given
            )
        return ToolResult(_text(value), value=value, arguments=given)

    def _checked(self, given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise TypeError("its arguments are no JSON object")
        if self.arguments is None:
            return given
        read = self.arguments.model_validate(given)
        keywords = {parameter: getattr(read, name) for name, parameter in self.names if name in read.model_fields_set}
        return keywords | (read.model_extra or {})


def tool(function: Function | Tool | None = None, /, *, name: str = "", description: str = "") -> Any:
    """A tool of a function; as a decorator, with or without a name and a description of its own."""
    if function is None:
        return lambda wrapped: tool(wrapped, name=name, description=description)
    if isinstance(function, Tool):
        return function
    if not callable(function):
        raise TypeError(f"A tool is a function, not {function!r}.")
    target = _unwrapped(function)
    told, of_parameters = _docstring(target)
    own_name = name or _name_of(function, target)
    arguments, names = _arguments_of(function, target, own_name, of_parameters)
    schema = arguments.model_json_schema()
    return Tool(
        name=own_name,
        description=description or told or f"Calls {own_name}.",
        parameters=_plain(schema),
        function=function,
        arguments=arguments,
        names=names,
        positional=_positional(function),
        is_async=inspect.iscoroutinefunction(target),
    )


@dataclass(frozen=True, slots=True)
class Declared:
    """What a function does to the world. ``undo(arguments, result)`` takes it back and says what it did; ``risk``: a person is
    asked first, "" nobody."""

    effect: str = "write"  # what nobody declared may change anything
    undo: Function | None = None
    risk: str = ""


def declare(*, effect: str = "write", undo: Function | None = None, risk: str = "") -> Callable[[Any], Any]:
    """Says of a function or a tool what it does to the world: ``@declare(effect="read")``. Raises ValueError, TypeError."""
    if effect not in EFFECTS:
        raise ValueError(f'"{effect}" is no effect; there are {", ".join(EFFECTS)}.')
    if risk and risk not in RISKS:
        raise ValueError(f'"{risk}" is no risk; there are {", ".join(RISKS)}.')
    told = Declared(effect, undo, risk)

    def declared(function: Any) -> Any:
        target: Any = function.function if isinstance(function, Tool) else function
        try:
            target.__wflo_declared__ = told
        except AttributeError:
            raise TypeError(f"{target!r} takes no declaration: put it into a function of its own.") from None
        return function

    return declared


def declared_of(function: Function | Tool) -> Declared:
    """What was declared of it; what nobody declared counts as a write."""
    target = function.function if isinstance(function, Tool) else function
    told = getattr(target, "__wflo_declared__", None)
    return told if isinstance(told, Declared) else Declared()


def tools_of(functions: Iterable[Function | Tool] | None) -> list[Tool]:
    """Raises ValueError where two have one name."""
    found = [tool(function) for function in functions or ()]
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'Two tools are named "{twice[0]}". Name one with tool(function, name="...").')
    return found


def unknown(name: str, offered: Sequence[Tool], arguments: Any = None) -> ToolResult:
    known = ", ".join(one.name for one in offered) or "none"
    return ToolResult(f'Error: there is no tool "{name}". Tools: {known}.', is_error=True, arguments=arguments)


def _unwrapped(function: Function) -> Function:
    while isinstance(function, functools.partial):
        function = function.func
    if not (
        inspect.isfunction(function)
        or inspect.ismethod(function)
        or inspect.isbuiltin(function)
        or isinstance(function, type)
    ):
        found: Function = type(function).__call__.__get__(function)  # an object that can be called, by its method
        return found
    return function


def _name_of(function: Function, target: Function) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", "") or type(function).__name__
    cleaned = _NOT_IN_NAMES.sub("_", name).strip("_") or "tool"
    return cleaned[:NAME_CHARS_MAX]


def _docstring(target: Function) -> tuple[str, dict[str, str]]:
    """What it is for, and what each parameter is."""
    text = inspect.getdoc(target)
    if not text or target is dict:
        return "", {}
    from docstring_parser import parse

    read = parse(text)
    told = "\n\n".join(part for part in (read.short_description, read.long_description) if part)
    return told.strip(), {one.arg_name: one.description.strip() for one in read.params if one.description}


def _arguments_of(
    function: Function, target: Function, name: str, told: dict[str, str]
) -> tuple[type[BaseModel], tuple[tuple[str, str], ...]]:
    """A model of its parameters. Fields have names of their own, for a parameter may be called what pydantic keeps to itself."""
    from pydantic import ConfigDict, Field, create_model  # costs an import only those who have tools

    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not say
        parameters = [inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)]
    hints = _hints(target)
    given = function.keywords if isinstance(function, functools.partial) else {}
    fields: dict[str, Any] = {}
    names: list[tuple[str, str]] = []
    takes_more = False
    for place, one in enumerate(parameters):
        if one.kind is inspect.Parameter.VAR_POSITIONAL or one.name in given:
            continue
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            takes_more = True
            continue
        default = ... if one.default is inspect.Parameter.empty else one.default
        known = Field(default, alias=one.name, title=None, description=told.get(one.name))
        fields[f"field_{place}"] = (hints.get(one.name, Any), known)
        names.append((f"field_{place}", one.name))
    config = ConfigDict(extra="allow" if takes_more else "forbid", arbitrary_types_allowed=True)
    return create_model(name, __config__=config, **fields), tuple(names)


def _positional(function: Function) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_ONLY)


def _hints(target: Function) -> dict[str, Any]:
    place: Any = vars(target).get("__init__", target) if isinstance(target, type) else target
    try:
        return typing.get_type_hints(place, include_extras=True)
    except Exception:  # a name that is not there at run time
        raw = getattr(place, "__annotations__", {})
        return {name: hint for name, hint in raw.items() if not isinstance(hint, str)}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the titles pydantic makes up, which cost tokens and say nothing."""
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs") and isinstance(value, dict):
            made[key] = {name: _plain(one) if isinstance(one, dict) else one for name, one in value.items()}
        elif isinstance(value, dict):
            made[key] = _plain(value) if key not in ("default", "const", "examples") else value
        elif isinstance(value, list):
            made[key] = [_plain(one) if isinstance(one, dict) else one for one in value]
        else:
            made[key] = value
    made.setdefault("type", "object") if "properties" in schema else None
    return made


def _fault(error: Exception) -> str:
    if hasattr(error, "errors"):
        return "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in error.errors()
        )
    if isinstance(error, json.JSONDecodeError):
        return f"its arguments are no JSON ({error})"
    return str(error)


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif hasattr(value, "model_dump_json"):
        text = value.model_dump_json()
    elif isinstance(value, dict | list | tuple):
        text = json.dumps(value, default=str, ensure_ascii=False)
    else:
        text = str(value)
    if len(text) > RESULT_CHARS_MAX:
        return f"{text[:RESULT_CHARS_MAX]}\n[{len(text) - RESULT_CHARS_MAX:,} characters more were left out]"
    return text
