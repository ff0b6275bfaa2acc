"""A job's definition -> what runs: an agent, or a pattern of them. Their model is the guarded one, their tools are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import jsonschema

from tracking.errors import Invalid
from tracking.gateway.threads import in_thread
from tracking.models import Team
from tracking.queue.kept_tools import Keeper, kept_tool
from tracking.queue.model import GuardedModel
from tracking.queue.spans import Teller
from tracking.queue.stops import Failed
from tracking.tools import Offered, ToolContext, offered
from wflo.agents import Client, Executor, RetryConfig, Tool, steps
from wflo.agents.workflows.patterns import PATTERNS, Member, workflow_of
from wflo.agents.workflows.workflow import ConfigError, WorkflowResult

SINGLE = "single"
HAND_OFF = "hand_off"
REPAIRS = 2
_ONCE = RetryConfig(max_attempts=1)  # what failed for a moment is the queue's to try again


@dataclass(slots=True)
class Crew:
    """All agents of a job, made when they are asked."""

    team: Team
    job_id: str
    run: str
    model: GuardedModel
    keeper: Keeper
    teller: Teller
    changes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of agents: model, instructions
    contexts: list[ToolContext] = field(default_factory=list)

    async def close(self) -> None:
        for context in self.contexts:
            await context.close()

    async def run_all(self, definition: Mapping[str, Any], given: str) -> Any:
        """The answer: text, or what fits the definition's output schema. Raises Stop, LLMError."""
        if (definition.get("pattern") or SINGLE) == SINGLE:
            executor = Executing(self, definition, self._others(definition))
            return await executor.answer(given, definition.get("output_schema"))
        others = self._others(definition)
        members = [
            Member(name, self.executor(body, others), part.get("role") or "", part.get("facts"))
            for name, body, part in _members(definition)
        ]
        try:
            workflow = workflow_of(definition["pattern"], members, definition.get("options"))
        except ConfigError as error:
            raise Failed(f"The agent cannot run so: {error}") from error
        result: WorkflowResult = await workflow.execute(given)
        return await self._shaped(definition, result.final_output)

    def executor(self, body: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> Executor:
        """One who works with members of its own does it in its own way."""
        return Executing(self, body, others) if (body.get("pattern") or SINGLE) == SINGLE else Together(self, body)

    def _others(self, definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        return {name: body for name, body, _ in _members(definition)}

    async def _shaped(self, definition: Mapping[str, Any], said: str) -> Any:
        schema = definition.get("output_schema")
        if not schema:
            return said
        value, fault = _fitting(said, schema)
        if fault is None:
            return value
        body = {**definition, "pattern": SINGLE, "tools": []}
        return await Executing(self, body, {}).answer(f"Put this into the form that is asked for:\n\n{said}", schema)


@dataclass(slots=True)
class Together:
    """A member that is a pattern of agents itself."""

    crew: Crew
    body: Mapping[str, Any]

    async def execute(self, query: str) -> str:
        said = await self.crew.run_all(self.body, query)
        return said if isinstance(said, str) else json.dumps(said)


@dataclass(slots=True)
class Executing:
    """One agent as wflo.agents' Executor. ``others``: whom it may give work to, by name."""

    crew: Crew
    body: Mapping[str, Any]
    others: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return str(self.body["name"])

    async def execute(self, query: str) -> str:
        return str(await self.answer(query, None))

    async def answer(self, query: str, schema: Mapping[str, Any] | None) -> Any:
        async with self.crew.teller.turn(self.name, query) as said:
            with steps.acting_as(self.name):
                client = await self._client(schema)
                text = (await client.complete(query)).final_response
                value: Any = text
                if schema:
                    value = await self._fitted(client, text, schema)
            said["output"] = value
            return value

    async def _fitted(self, client: Client, text: str, schema: Mapping[str, Any]) -> Any:
        """Asked again with what is wrong, so many times. Raises Failed with the last answer."""
        for _ in range(REPAIRS):
            value, fault = _fitting(text, schema)
            if fault is None:
                return value
            text = (
                await client.complete(
                    f"{fault}\n\nAnswer again with JSON alone that fits this schema:\n{json.dumps(schema)}"
                )
            ).final_response
        value, fault = _fitting(text, schema)
        if fault is not None:
            raise Failed(f"No answer fitted the output schema: {fault} The last answer: {text[:500]}")
        return value

    async def _client(self, schema: Mapping[str, Any] | None) -> Client:
        body = {**self.body, **self.crew.changes.get(self.name, {})}
        model, prompt = body["model"], body.get("instructions") or ""
        limits = body.get("limits") or {}
        options = dict(body.get("parameters") or {})
        if schema:
            prompt = f"{prompt}\n\nYour last answer is JSON alone that fits this schema:\n{json.dumps(schema)}".strip()
            options.setdefault(
                "response_format", {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
            )
        return Client(
            model, prompt, await self._tools(), int(limits.get("tool_iterations") or 10), agent=self.name, ask=self.crew.model,
            retry=_ONCE, options=options,
        )  # fmt: skip

    async def _tools(self) -> list[Tool]:
        names = list(self.body.get("tools") or ())
        if not names:
            return []
        crew = self.crew
        context = ToolContext(
            team=crew.team, job_id=crew.job_id, run=crew.run, agent=self.name,
            members=tuple(name for name in self.others if name != self.name), hand_off=self._hand_off,
        )  # fmt: skip
        crew.contexts.append(context)
        try:
            found = await in_thread(lambda: offered(context, names))
        except Invalid as error:
            raise Failed(f"{self.name} cannot run: {error.message}") from error
        return [self._kept(one) for one in found]

    def _kept(self, one: Offered) -> Tool:
        """Handing work to another agent is no step: what that agent does are."""
        return one.tool if one.tool.name == HAND_OFF else kept_tool(self.crew.keeper, self.name, one)

    async def _hand_off(self, name: str, task: str) -> str:
        body = self.others.get(name)
        if body is None:
            raise ValueError(f'There is no agent "{name}" here. There are: {", ".join(self.others) or "none"}.')
        return await self.crew.executor(body, self.others).execute(task)


def is_strict(definition: Mapping[str, Any]) -> bool:
    """Whether its steps follow one another."""
    pattern = definition.get("pattern") or SINGLE
    bodies = [definition, *(body for _, body, _ in _members(definition))]
    is_handed = any(HAND_OFF in (body.get("tools") or ()) for body in bodies)
    return not is_handed and (pattern == SINGLE or not PATTERNS[pattern].is_parallel)


def risks_of(definition: Mapping[str, Any]) -> dict[str, str]:
    """Tools that a person is asked about first, of all agents in it."""
    bodies = [*(body for _, body, _ in _members(definition)), definition]
    return {name: risk for body in bodies for name, risk in (body.get("approvals") or {}).items()}


def cost_limit(definition: Mapping[str, Any]) -> Decimal | None:
    most = (definition.get("limits") or {}).get("cost_usd")
    return None if most is None else Decimal(str(most))


def _members(definition: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(name, body, place) of each; a member that says no model has the agent's."""
    found: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
    for part in definition.get("members") or ():
        own = part.get("definition") or {name: value for name, value in part.items() if value is not None}
        body = {
            "model": definition.get("model"),
            **{name: value for name, value in own.items() if value},
            "name": part["name"],
        }
        found.append((str(part["name"]), body, part))
    return found


def _fitting(text: str, schema: Mapping[str, Any]) -> tuple[Any, str | None]:
    """(the value, None), or (None, what is wrong)."""
    stripped = text.strip()
    if stripped.startswith("```"):
        stripped = stripped.strip("`").removeprefix("json").strip()
    try:
        value = json.loads(stripped)
    except ValueError as error:
        return None, f"The answer is no JSON: {error}."
    try:
        jsonschema.validate(value, dict(schema))
    except jsonschema.ValidationError as error:
        return None, f"At {error.json_path}: {error.message}."
    return value, None
