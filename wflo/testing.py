"""For tests, yours and ours: what would have been sent, without a server.

with captured() as events:
    research("quantum computing")
assert [event["name"] for event in events if event["kind"] == "span.end"] == ["chat gpt-4o-mini"]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wflo import recording


@contextmanager
def captured() -> Iterator[list[dict[str, Any]]]:
    """Every event recorded meanwhile, in all threads, as it is sent, before redaction."""
    events: list[dict[str, Any]] = []
    recording.hear(events.append)
    try:
        yield events
    finally:
        recording.hear_no_more(events.append)
