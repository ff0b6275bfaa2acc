"""What roles said to one another, and the tools there are. Nothing here is of the process: an agent is given its context."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from wflo.agents.tools import Tool, tools_of


class RoleType(StrEnum):
    SYSTEM = "system"
    USER = "user"
    AGENT = "agent"
    EXECUTION_ENVIRONMENT = "execution_environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleMessage:
    """One thing said. Visible to sender and recipient where nobody says otherwise."""

    sender: RoleType
    recipient: RoleType
    content: str
    conversation_active: bool = True
    openai_tool_call_id: str | None = None
    openai_function_name: str | None = None
    tool_call_exception: str | None = None
    tool_trace: tuple[str, ...] | None = None
    visible_to: tuple[RoleType, ...] = ()

    def __post_init__(self) -> None:
        if not self.visible_to:
            object.__setattr__(self, "visible_to", (self.sender, self.recipient))


@dataclass(slots=True)
class ExecutionContext:
    """``names``: what a tool is called before the model -> what it is called here, where names are scrambled."""

    messages: list[RoleMessage] = field(default_factory=list)
    tools: list[Callable[..., Any] | Tool] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def offered(self) -> list[Tool]:
        """The tools under the names the model knows them by."""
        scrambled = {own: shown for shown, own in self.names.items()}
        return [
            Tool(
                scrambled.get(one.name, one.name),
                one.description,
                one.parameters,
                one.function,
                one.arguments,
                one.names,
                one.positional,
                one.is_async,
            )
            for one in tools_of(self.tools)
        ]


_NOT_IN_NAMES = re.compile(r"\W")


def variable_of(tool_call_id: str) -> str:
    """A Python name made of a call's id, whatever characters a provider puts there."""
    name = _NOT_IN_NAMES.sub("_", tool_call_id)
    return name if name and not name[0].isdigit() else f"call_{name}"


def code_of(tool_call_id: str, function_name: str, arguments: dict[str, Any]) -> str:
    """The snippet an execution environment runs for one call of a tool."""
    name = variable_of(tool_call_id)
    return (
        f"{name}_parameters = {arguments!r}\n"
        f"{name}_response = {function_name}(**{name}_parameters)\n"
        f"print(repr({name}_response))"
    )
