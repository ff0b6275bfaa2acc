"""What is kept of what an agent sent along: without secrets, and of a size."""

from __future__ import annotations

from typing import Any

import orjson

from tracking.errors import TooLarge
from tracking.models import Team
from tracking.redaction import redactor


def kept(team: Team, value: Any, *, field: str, most: int) -> Any:
    """The value, redacted by the team's policy. Raises TooLarge above ``most`` bytes of JSON."""
    raw = redactor(team.redaction).body(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))
    if len(raw) > most:
        raise TooLarge(
            f"{field} has {len(raw):,} bytes as JSON, more than the {most:,} that are kept. Send less of it.",
            field=field,
        )
    return orjson.loads(raw.replace(b"\\u0000", b"\\ufffd"))  # PostgreSQL keeps no NUL


def words(team: Team, text: str, most: int) -> str:
    return redactor(team.redaction).words(text.replace("\0", "\ufffd"))[:most]
