"""What is sent: JSON to a webhook, a title and some lines to people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from tracking.alerts.phrases import SENTENCE_CHARACTERS, clean
from tracking.alerts.words import sentence

LINES_MAX = 10
LEVELS = {"low": "INFO", "high": "WARNING", "critical": "FAILURE"}
ALERT_EVENT = "alert.opened"
TEST_EVENT = "test"
# In what agents are called, these would call people or make links in chat services.
_CALM = str.maketrans({"@": "\N{FULLWIDTH COMMERCIAL AT}", "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    title: str
    body: str
    level: str


def alert_payload(alert: Any) -> dict[str, Any]:
    """An alert as a webhook gets it under ``data``, and as its delivery keeps it."""
    words = sentence(alert)
    return {
        "id": str(alert.pk),
        "kind": alert.kind,
        "severity": alert.severity,
        "title": words.title,
        "what": words.what,
        "todo": words.todo,
        "path": words.path,
        "run": alert.run,
        "agent": alert.agent,
        "times": alert.times,
        "opened_at": alert.opened_at.isoformat(),
        "facts": alert.payload,
    }


def test_payload(by: str) -> dict[str, Any]:
    return {
        "title": "This is a test",
        "what": f"{clean(by)} pressed Test to see whether alerts arrive here. They do.",
        "todo": "",
        "path": "/alerts",
    }


def webhook_body(
    delivery_id: str, event: str, team: str, payload: Mapping[str, Any], created_at: datetime, public_url: str
) -> bytes:
    """``id`` is the same in every try; ``data.url`` is the page to look at."""
    data = {**payload, "url": _url(payload, public_url)}
    data.pop("path", None)
    body = {"id": delivery_id, "type": event, "timestamp": created_at, "team": team, "data": data}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


def text_for(team: str, payloads: Sequence[Mapping[str, Any]], public_url: str, *, is_calm: bool) -> Text:
    """One message for all that gathered. ``is_calm``: no name in it calls anybody."""
    severities = [str(payload.get("severity", "low")) for payload in payloads]
    level = LEVELS[max(severities, key=list(LEVELS).index)]
    if len(payloads) == 1:
        title = _title(payloads[0])
        lines = [_cut(payloads[0].get("what")), _cut(payloads[0].get("todo")), _url(payloads[0], public_url)]
    else:
        title = f"{len(payloads)} alerts"
        shown = payloads[:LINES_MAX]
        lines = [f"• {_title(payload)}\n  {_url(payload, public_url)}".rstrip() for payload in shown]
        left = len(payloads) - len(shown)
        lines.append(f"And {left} more: {public_url}/alerts" if left else "")
    text = Text(f"{clean(team)}: {title}", "\n".join(filter(None, lines)), level)
    if not is_calm:
        return text
    return Text(text.title.translate(_CALM), text.body.translate(_CALM), level)


def _title(payload: Mapping[str, Any]) -> str:
    return _cut(payload.get("title")) or "Something needs a look"


def _cut(value: object) -> str:
    return clean(value or "", SENTENCE_CHARACTERS)


def _url(payload: Mapping[str, Any], public_url: str) -> str:
    path = str(payload.get("path") or "")
    return f"{public_url}{path}" if path else ""
