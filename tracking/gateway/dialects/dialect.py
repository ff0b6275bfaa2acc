"""What every wire format can tell and do. All bodies are JSON objects; streams are server-sent events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from wflo.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request asks for. ``output_tokens`` is its cap on each choice, None when it has none."""

    model: str
    is_stream: bool = False
    output_tokens: int | None = None
    choices: int = 1
    user: str = ""
    earlier: str = ""  # an earlier answer that the provider keeps, to go on from


@dataclass(slots=True, kw_only=True)
class Seen:
    """What an answer turned out to hold. ``usage`` is None when the provider did not say."""

    usage: Usage | None = None
    model: str = ""
    response_id: str = ""
    finish_reason: str = ""
    text: str = ""
    message: Any = None  # the answer's message as the dialect has it, for the record
    is_usage_bad: bool = False  # it said, and what it said cannot be
    is_complete: bool = True
    error: str = ""  # an error event in a stream
    pieces: int = 0  # pieces of text that came, about a token each
    output_bytes: int = 0  # of text, arguments and reasoning
    prompt_usage: Usage | None = None  # what it said of the prompt alone, of a stream that broke off later
    open_block: int | None = None  # the block of a message that was under way when it ended


def pieces_of(text: str, *, characters: int) -> int:
    """About how many tokens a piece of a stream is: one, and more where the provider sends many at once."""
    return max(1, len(text) // characters)


class Reader(Protocol):
    """Reads one stream as it passes. ``feed`` gives back what the client is to get of the bytes, often the same."""

    seen: Seen
    held_back: bytes  # what ends the stream, given back by nobody: the relay sends it last

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> Seen:
        """Nothing more comes."""
        ...


class Dialect(Protocol):
    name: str
    path: str  # below a provider's base address
    provider: str  # whose dialect: those whose prefix this is, and all compatible ones, take it as it is
    is_common: bool  # all compatible servers speak it, not only ``provider`` itself
    is_embedding: bool
    output_field: str  # the name of the cap in a refusal
    output_least: int  # the smallest cap that providers take
    passed_headers: tuple[str, ...]  # of a request, sent on to those who speak the dialect

    def read(self, body: dict[str, Any]) -> Wanted:
        """Raises InvalidCall naming the field."""
        ...

    def sent(self, body: dict[str, Any], *, model: str, output_tokens: int | None) -> dict[str, Any]:
        """The body for the provider: its model's name, the cap to keep (None: as asked), usage asked for in streams."""
        ...

    def answered(self, answer: dict[str, Any]) -> Seen: ...

    def reader(self, body: dict[str, Any]) -> Reader: ...

    def prompt(self, body: dict[str, Any]) -> Any:
        """What the model was told, for the record and for counting."""
        ...

    def counted(self, body: dict[str, Any]) -> list[Any]:
        """Everything of a request that the provider counts as input: the prompt, tools, the schema of the answer."""
        ...

    def unforeseen(self, body: dict[str, Any]) -> str:
        """What of a request costs what nobody can know beforehand, such as tools the provider runs; '' for nothing."""
        ...

    def error_body(self, error: dict[str, Any]) -> dict[str, Any]:
        """``error``: message, type, code and what more there is to say."""
        ...

    def error_event(self, error: dict[str, Any]) -> bytes:
        """The same in a stream that has begun."""
        ...

    def cut_event(self, seen: Seen, error: dict[str, Any]) -> bytes:
        """The end of a stream that Wflo ends, as the dialect ends one, with the reason said in words of ours."""
        ...
