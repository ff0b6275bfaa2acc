"""What every decoder gives back, and the one way it says that a body cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracking.errors import Invalid
from wflo.spans import Rejected, Span

ATTRIBUTES_MAX = 1_024  # kept of one span, event, link or resource; a long conversation flattened needs hundreds
EVENTS_MAX = 128  # kept of one span: some emitters write one event per streamed token
LINKS_MAX = 128
NESTING_MAX = 32  # arrays and maps inside one attribute value


class DecodeError(Invalid):
    """The body cannot be read."""

    code = "malformed"


@dataclass(slots=True)
class Decoded:
    """Spans as sent, before any dialect is read; ``index`` of a rejected one is its place in the request.

    ``hint`` says what the sender probably meant when nothing in the body is a span.
    """

    spans: list[Span] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    hint: str = ""


def is_indexed(key: str) -> bool:
    """Whether a key is one of many alike: a number stands between its dots, as in ``messages.3.content``."""
    return any(part.isdigit() for part in key.split(".")[1:])


def fitting(attributes: dict[str, Any], notes: list[str], *, of: str) -> dict[str, Any]:
    """At most ``ATTRIBUTES_MAX`` of them, in their order; indexed content gives way first, so that the model's name and
    the token counts of a call stay. What was dropped is counted in ``notes``."""
    over = len(attributes) - ATTRIBUTES_MAX
    if over <= 0:
        return attributes
    notes.append(f"{over} of {len(attributes)} attributes of the {of} were dropped")
    plain = [key for key in attributes if not is_indexed(key)][:ATTRIBUTES_MAX]
    room = ATTRIBUTES_MAX - len(plain)
    indexed = [key for key in attributes if is_indexed(key)][:room]
    kept = set(plain).union(indexed)
    return {key: value for key, value in attributes.items() if key in kept}
