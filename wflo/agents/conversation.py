"""Conversations, and the system prompt that heads them."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape
from typing import Any

from wflo.agents.settings import settings
from wflo.agents.tools import Tool, tools_of

BASE_SYSTEM_PROMPT = "<system_prompt><system_instructions>{instructions}</system_instructions>{tools}</system_prompt>"


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


def _id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said. A role that is none is refused."""

    id: str
    role: Role
    content: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "role", Role(self.role))

    def to_dict(self) -> dict[str, str]:
        return {"role": self.role.value, "content": self.content}


@dataclass(slots=True)
class Conversation:
    """What user and assistant said, in order; tool traffic is not kept here."""

    id: str = field(default_factory=_id)
    messages: list[Message] = field(default_factory=list)

    def add_message(self, role: Role | str, content: str) -> Message:
        """Raises ValueError for a role there is not."""
        message = Message(_id(), Role(role), content)
        self.messages.append(message)
        return message

    @property
    def messages_dict(self) -> list[dict[str, str]]:
        """In OpenAI's form."""
        return [message.to_dict() for message in self.messages]

    def clear(self) -> None:
        self.messages.clear()


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """Instructions, word for word; tools that are named there besides are escaped, for they may come from anywhere."""

    content: str

    def to_formatted_string(self, tools: Iterable[Callable[..., Any] | Tool] | None = None) -> str:
        """As XML on one line around the instructions as they are; without tools no ``tools`` element."""
        told = "".join(
            f"<tool><name>{escape(one.name)}</name><description>{escape(inspect.cleandoc(one.description))}</description></tool>"
            for one in tools_of(tools)
        )
        return BASE_SYSTEM_PROMPT.format(
            instructions=self.content.strip(), tools=f"<tools>{told}</tools>" if told else ""
        )


@dataclass(slots=True)
class RequestConfig:
    """Everything one request is made of."""

    model: str = ""
    system_prompt: str | SystemPrompt = ""
    response_format: Any = None
    tools: list[Callable[..., Any] | Tool] = field(default_factory=list)
    conversation: Conversation = field(default_factory=Conversation)

    def __post_init__(self) -> None:
        self.model = self.model or settings.default_model
        if not isinstance(self.system_prompt, SystemPrompt):
            self.system_prompt = SystemPrompt(self.system_prompt or settings.default_system_prompt)

    def add_message_to_conversation(self, role: Role | str, text: str) -> Message:
        return self.conversation.add_message(role, text)

    def get_conversation(self) -> list[dict[str, str]]:
        """The system message first."""
        prompt = self.system_prompt
        assert isinstance(prompt, SystemPrompt)
        head = {"role": Role.SYSTEM.value, "content": prompt.to_formatted_string(self.tools)}
        return [head, *self.conversation.messages_dict]
