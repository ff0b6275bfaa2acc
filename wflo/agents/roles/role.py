"""A role of a talk: reads what it may see, says its part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from wflo.agents.roles.context import ExecutionContext, RoleMessage, RoleType
from wflo.agents.tools import Tool


class BaseRole(ABC):
    role_type: ClassVar[RoleType]

    def __init__(self, context: ExecutionContext | None = None) -> None:
        self.context = ExecutionContext() if context is None else context

    def get_messages(self, ending_index: int | None = None) -> list[RoleMessage]:
        """As far as ``ending_index``, that one too; all without it."""
        return self.context.messages[: None if ending_index is None else ending_index + 1]

    def add_messages(self, messages: Sequence[RoleMessage]) -> None:
        self.context.messages.extend(messages)

    def messages_validation(self, messages: Sequence[RoleMessage]) -> None:
        """Raises KeyError when nothing was said, or the last was not said to this role."""
        if not messages:
            raise KeyError("Nothing was said yet.")
        if messages[-1].recipient != self.role_type:
            raise KeyError(f"The last message is for {messages[-1].recipient}, not for {self.role_type}.")

    def filter_messages(self, messages: Sequence[RoleMessage]) -> list[RoleMessage]:
        """Those this role may see."""
        return [message for message in messages if self.role_type in message.visible_to]

    def get_available_tools(self) -> list[Tool]:
        return self.context.offered()

    @abstractmethod
    def respond(self, ending_index: int | None = None) -> None:
        """Say what is to be said to the last message, into the context."""

    def reset(self) -> None:
        """Forget what was said."""
        self.context.messages.clear()

    def teardown(self) -> None:  # noqa: B027  most roles hold nothing
        """Let go of what it holds."""
