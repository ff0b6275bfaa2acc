"""Agents, tools and their servers as the OpenAPI file tells them. What an agent's body may be says tracking.agents.definition."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import BaseModel

from tracking.agents import patterns
from tracking.agents.definition import Definition, Risk, RollbackOn
from tracking.reading_schemas import Cursor, Money

Effect = Literal["read", "write"]
Note = Annotated[str, Field(max_length=500, description="why it is changed; stands beside the version")]


class NewAgent(Definition):
    note: Note = ""


class AgentChange(Definition):
    """Fields that are not given stay as they are. The name cannot be another."""

    note: Note = ""
    expected_version: int | None = Field(
        None, ge=0, description="the version that was read: refused with 409 when it is another by now"
    )


class MemberShown(Schema):
    name: str
    role: str
    agent: str | None
    instructions: str
    model: str
    tools: list[str]
    facts: dict[str, Any]


class LimitsShown(Schema):
    steps: int
    tool_iterations: int
    cost_usd: Money
    minutes: int | None


class AgentShown(Schema):
    id: UUID
    name: str
    version: int
    description: str
    instructions: str
    model: str
    tools: list[str]
    pattern: str = Field(json_schema_extra={"enum": list(patterns.NAMES)})
    options: dict[str, Any]
    members: list[MemberShown]
    limits: LimitsShown
    output_schema: dict[str, Any] | None
    parameters: dict[str, Any]
    approvals: dict[str, Risk]
    rollback_on: list[RollbackOn]
    note: str = Field(description="of this version")
    created_by: str = Field(description="who saved this version")
    created_at: datetime = Field(description="of this version")
    archived_at: datetime | None = Field(description="since when no new job gets it")


class Agents(Schema):
    agents: list[AgentShown]
    next_cursor: Cursor


class AgentVersions(Schema):
    versions: list[AgentShown]
    next_cursor: Cursor


class Restored(Schema):
    version: int | None = Field(
        None, ge=1, description="an older one, which becomes the newest; null: only out of the archive"
    )
    note: Note = ""


class ToolShown(Schema):
    name: str
    description: str
    effect: Effect
    has_undo: bool
    risk: Literal["", "low", "medium", "high", "critical"] = Field(description="a person is asked first; empty: nobody")
    source: Literal["builtin", "python", "mcp"]
    server: str = Field(description="of mcp: whose it is")
    parameters: dict[str, Any] = Field(description="a JSON schema")


class Tools(Schema):
    tools: list[ToolShown]
    next_cursor: Cursor


class NewServer(Schema):
    name: str = Field(max_length=60, description="its tools are called <name>__<tool>")
    url: str = Field(max_length=500, description="where it speaks streamable HTTP")
    headers: dict[str, str] = Field({}, description="such as Authorization; sealed, and never shown again")


class ServerChange(Schema):
    url: str | None = Field(
        None, max_length=500, description="another address has no headers, unless they are given with it"
    )
    headers: dict[str, str] | None = Field(None, description="all of them, in place of those there are")
    effects: dict[str, Effect] | None = Field(
        None, description="by the tool's own name, where it is not what the server says"
    )
    undos: dict[str, str] | None = Field(
        None, description="by the tool's own name, the own name of the tool that takes it back on a rollback"
    )
    is_active: bool | None = None


class ServerToolShown(Schema):
    name: str = Field(description="as an agent names it")
    own_name: str
    description: str
    effect: Effect
    told_effect: Effect = Field(description="what the server says of it")
    undo: str = Field(description="the own name of the tool that takes it back; empty: none")
    parameters: dict[str, Any]


class ServerShown(Schema):
    id: UUID
    name: str
    origin: str = Field(description="its scheme and host; the rest of the address is not shown")
    has_headers: bool
    is_active: bool
    effects: dict[str, Effect]
    undos: dict[str, str]
    tools: list[ServerToolShown] = Field(description="as it listed them last")
    checked_at: datetime | None
    error: str = Field(description="of the last look; empty: it went well")
    created_at: datetime


class Servers(Schema):
    mcp_servers: list[ServerShown]
    next_cursor: Cursor


def body_of(model: type[BaseModel], *, without: tuple[str, ...] = (), is_whole: bool = True) -> dict[str, Any]:
    """For ``openapi_extra``: the body as the file tells it, where the verbs read it themselves; parts stand where they are used."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    made: dict[str, Any] = _inlined(schema, parts)
    made["properties"] = {name: one for name, one in made["properties"].items() if name not in without}
    made["required"] = [name for name in made.get("required", ()) if name not in without] if is_whole else []
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": made}}}}


def _inlined(value: Any, parts: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inlined(one, parts) for one in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        rest = {name: one for name, one in value.items() if name != "$ref"}
        return _inlined({**parts[value["$ref"].rpartition("/")[2]], **rest}, parts)
    return {name: _inlined(one, parts) for name, one in value.items()}
