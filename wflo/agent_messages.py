"""Messages from agent to agent, within one process; each is seen on the run's page.

send_message("writer", {"notes": notes}, from_agent="researcher")
for message in messages("writer"): ...
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from wflo import context, recording

WAITING_MAX = 1_000  # for one agent of one run; the oldest go first
BOXES_MAX = 10_000  # of agents whom nobody asks for their messages; the oldest go first


@dataclass(frozen=True, slots=True)
class Message:
    """``content`` is any value; ``at`` is in seconds since 1970."""

    to: str
    content: Any
    from_agent: str = ""
    kind: str = "message"
    at: float = field(default_factory=time.time)


_boxes: dict[tuple[str, str], deque[Message]] = {}
_lock = threading.Lock()


def send_message(to: str, content: Any, *, from_agent: str = "", kind: str = "message") -> Message:
    """Leave a message for an agent of the current run (of this process, outside of every run)."""
    scope = context.current()
    sent = Message(to, content, from_agent or (scope.agent if scope else ""), kind)
    place = (scope.run.id if scope else "", to)
    with _lock:
        if place not in _boxes:
            while len(_boxes) >= BOXES_MAX:
                _boxes.pop(next(iter(_boxes)))
        _boxes.setdefault(place, deque(maxlen=WAITING_MAX)).append(sent)
    recording.occurred("agent_message", name=f"{sent.from_agent} to {to}", input=content, to=to, message_kind=kind)
    return sent


def messages(agent: str = "", *, kind: str | None = None) -> list[Message]:
    """Take what waits for an agent (the current one by default), the oldest first; of one kind, the others stay."""
    scope = context.current()
    place = (scope.run.id if scope else "", agent or (scope.agent if scope else ""))
    with _lock:
        waiting = _boxes.get(place, deque())
        taken = [message for message in waiting if kind in (None, message.kind)]
        left = deque((message for message in waiting if kind not in (None, message.kind)), maxlen=WAITING_MAX)
        if left:
            _boxes[place] = left
        else:
            _boxes.pop(place, None)
    return taken
