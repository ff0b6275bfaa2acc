"""What an agent is as data: the form of it, and ``read``, which says what is wrong with one of a team's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from django.conf import settings
from django.core.exceptions import ValidationError as DjangoError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tracking import tools
from tracking.agents import patterns
from tracking.agents.patterns import SINGLE
from tracking.errors import Invalid, TooLarge
from tracking.models import Team
from tracking.models.teams import one_line
from tracking.tools.built_in import HAND_OFF

Risk = Literal["low", "medium", "high", "critical"]
RollbackOn = Literal["budget", "loop", "error"]
ToolName = Annotated[str, Field(min_length=1, max_length=64)]
ModelName = Annotated[str, Field(max_length=200, pattern=r"^\S*$")]

_RESERVED = ("new", ".", "..")  # addresses of pages
_PARAMETERS_NOT_HERE = {
    "model": "it is a field of its own",
    "messages": "they are made as the agent works",
    "tools": "it is a field of its own",
    "stream": "the runner decides that",
    "n": "one answer is asked for",
    "response_format": "it comes of output_schema",
}
_PARAMETER_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "max_tokens": (1, 10_000_000),
    "max_completion_tokens": (1, 10_000_000),
    "seed": (-(2**63), 2**63 - 1),
}
PARAMETERS_MAX, PARAMETERS_BYTES_MAX = 40, 8_192
SCHEMA_BYTES_MAX = 64 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False, validate_default=False)


class Member(_Part):
    """One who takes part: another agent of the team by its name, or one described here."""

    name: str = Field(min_length=1, max_length=200, description="costs are charged to it")
    role: str = Field("", max_length=60, description="its part in the pattern, such as judge; empty: one of the group")
    agent: str | None = Field(
        None, max_length=200, description="another agent of the team; then nothing below is given"
    )
    instructions: str = Field("", max_length=100_000)
    model: ModelName = Field("", description="empty: the agent's")
    tools: list[ToolName] = Field([], max_length=64)
    facts: dict[str, Any] = Field(
        {},
        description="critics of iterative: specialty, goal, weight; experts of mixture_of_experts: specialty, description, "
        "activation_keywords",
    )

    @field_validator("name", "role")
    @classmethod
    def _line(cls, value: str) -> str:
        return _one_line(value)


class Limits(_Part):
    """Of one job."""

    steps: int = Field(default=50, ge=1, le=500, description="answers of models and results of tools")
    tool_iterations: int = Field(default=10, ge=1, le=100, description="turns of one conversation")
    cost_usd: Decimal | None = Field(default=None, gt=0, max_digits=20, decimal_places=10)
    minutes: int | None = Field(default=None, ge=1, le=7 * 1_440)


class Definition(_Part):
    """An agent as a team defines it."""

    name: str = Field(min_length=1, max_length=200, description="it keeps it: costs are charged to it")
    description: str = Field("", max_length=2_000)
    instructions: str = Field("", max_length=100_000, description="the system prompt")
    model: ModelName = Field(min_length=1, description='a model or a group of models, such as "demo/agent"')
    tools: list[ToolName] = Field([], max_length=64)
    pattern: str = Field(
        SINGLE,
        max_length=60,
        description="how its members work together",
        json_schema_extra={"enum": list(patterns.NAMES)},
    )
    options: dict[str, Any] = Field({}, description="of the pattern")
    members: list[Member] = Field([], description="who takes part; of a single agent: to whom it may hand a task on")
    limits: Limits = Field(default_factory=Limits)
    output_schema: dict[str, Any] | None = Field(None, description="a JSON schema that the last answer fits")
    parameters: dict[str, Any] = Field({}, description="of calls of the model: temperature, max_tokens, ...")
    approvals: dict[ToolName, Risk] = Field(
        {}, description="tools that a person is asked about first, and how risky they are"
    )
    rollback_on: list[RollbackOn] = Field([], description="when a run goes back to its last good step by itself")

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if "/" in value or value in _RESERVED or value != value.strip():
            raise ValueError(f'A name has no "/" and no space at its ends, and is none of {", ".join(_RESERVED)}')
        return _one_line(value)

    @classmethod
    def read(cls, team: Team, given: Mapping[str, Any]) -> Self:
        """Raises Invalid naming the field, TooLarge. Members that name other agents are judged by ``resolve``."""
        try:
            found = cls.model_validate(given)
        except ValidationError as error:
            raise as_invalid(error) from None
        _check_size(found)
        _check_members(found)
        if found.pattern != SINGLE:
            patterns.check(found.pattern, found.members, found.options)
        elif found.options:
            raise Invalid("A single agent has no options: they are a pattern's.", field="options")
        _check_tools(team, found)
        _check_parameters(found.parameters)
        _check_schema(found.output_schema)
        return found

    @property
    def body(self) -> dict[str, Any]:
        """As it is kept, in JSON."""
        return self.model_dump(mode="json")


def as_invalid(error: ValidationError) -> Invalid:
    """The first fault, in our words."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    message = str(first["msg"]).removeprefix("Value error, ")
    return Invalid(f"{field}: {message}." if field else f"{message}.", field=field or None)


def _check_size(found: Definition) -> None:
    text = json.dumps(found.body)
    most = settings.LIMITS["agent_bytes"]
    if len(text.encode()) > most:
        raise TooLarge(f"An agent has at most {most // 1024} KiB as JSON; this one has {len(text) // 1024} KiB.")
    if "\\u0000" in text:
        raise Invalid("It holds a NUL character.", field="instructions")
    if "\\ud" in text:
        try:
            json.dumps(found.body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Invalid("It holds half a character.", field="instructions") from None


def _check_members(found: Definition) -> None:
    most = settings.LIMITS["agent_members"]
    if len(found.members) > most:
        raise Invalid(f"At most {most} agents work together.", field="members")
    names: set[str] = set()
    for place, member in enumerate(found.members):
        if member.name in names or (found.pattern == SINGLE and member.name == found.name):
            raise Invalid(f'"{member.name}" is there twice: costs are charged by name.', field=f"members.{place}.name")
        names.add(member.name)
        is_described = bool(member.instructions or member.model or member.tools)
        if member.agent is not None and is_described:
            message = f"{member.name} is the agent {member.agent}: leave instructions, model and tools to that one."
            raise Invalid(message, field=f"members.{place}.agent")
        if found.pattern == SINGLE and (member.role or member.facts):
            message = "A single agent's members have no role: it hands tasks to them."
            raise Invalid(message, field=f"members.{place}.role")


def _check_tools(team: Team, found: Definition) -> None:
    known = {choice.name for choice in tools.catalogue(team)}
    chosen: set[str] = set()
    for field, names in _tool_lists(found):
        for name in names:
            if name not in known:
                raise Invalid(f'There is no tool "{name}". Settings / Tools shows those there are.', field=field)
        if len(set(names)) < len(names):
            raise Invalid("A tool is chosen twice.", field=field)
        chosen |= set(names)
    for name in found.approvals:
        if name not in chosen:
            raise Invalid(f'"{name}" is none of its tools.', field="approvals")
    if HAND_OFF in chosen and not found.members:
        raise Invalid(f"{HAND_OFF} gives tasks to members: name at least one.", field="members")
    if found.pattern == SINGLE and found.members and HAND_OFF not in chosen:
        raise Invalid(f"A single agent reaches its members by the tool {HAND_OFF}: choose it.", field="tools")


def _tool_lists(found: Definition) -> Iterable[tuple[str, list[str]]]:
    yield "tools", found.tools
    for place, member in enumerate(found.members):
        yield f"members.{place}.tools", member.tools


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    if len(parameters) > PARAMETERS_MAX or len(json.dumps(parameters)) > PARAMETERS_BYTES_MAX:
        raise Invalid(
            f"At most {PARAMETERS_MAX} parameters, of {PARAMETERS_BYTES_MAX // 1024} KiB.", field="parameters"
        )
    for name, value in parameters.items():
        field = f"parameters.{name[:60]}"
        if name in _PARAMETERS_NOT_HERE:
            raise Invalid(f"{name} is no parameter: {_PARAMETERS_NOT_HERE[name]}.", field=field)
        least_most = _PARAMETER_RANGES.get(name)
        if least_most is None:
            continue
        least, most = least_most
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most or (name.endswith("tokens") and not isinstance(value, int)):
            raise Invalid(f"{name} is a number from {least:,} to {most:,}.", field=field)


def _check_schema(schema: Mapping[str, Any] | None) -> None:
    if schema is None:
        return
    if len(json.dumps(schema)) > SCHEMA_BYTES_MAX:
        raise Invalid(f"A schema has at most {SCHEMA_BYTES_MAX // 1024} KiB.", field="output_schema")
    if "$ref" in json.dumps(schema) and not _refers_within(schema):
        raise Invalid("A schema refers to its own parts alone: #/$defs/name.", field="output_schema")
    import jsonschema  # costs an import only those who have a schema

    try:
        jsonschema.Draft202012Validator.check_schema(dict(schema))
    except (jsonschema.SchemaError, RecursionError) as error:
        said = error.message if isinstance(error, jsonschema.SchemaError) else "it is nested too deeply"
        raise Invalid(f"output_schema is no JSON schema: {said[:300]}.", field="output_schema") from None


def _refers_within(value: Any) -> bool:
    if isinstance(value, Mapping):
        place = value.get("$ref", "#")
        return isinstance(place, str) and place.startswith("#") and all(map(_refers_within, value.values()))
    return all(map(_refers_within, value)) if isinstance(value, list) else True


def _one_line(value: str) -> str:
    try:
        one_line(value)
    except DjangoError as error:
        raise ValueError(str(error.messages[0]).rstrip(".")) from None
    return value
