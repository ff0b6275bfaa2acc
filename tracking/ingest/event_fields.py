"""The fields of one native event, read lax where nothing is lost by it and refused by name where something would be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from tracking.ingest.decoded import NESTING_MAX

TEXT_MAX = 128  # ids and names that stand in indexes
TAGS_MAX = 50
COUNT_MAX = 10**12  # tokens of one call; more is a broken sender
ATTEMPTS_MAX = 30_000
COST_USD_MAX = Decimal(10) ** 6
DURATION_MS_MAX = 366 * 24 * 3_600_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMMON = frozenset(
    (
        *("kind", "type", "event_id", "run_id", "ts", "seq", "trace_id", "span_id", "parent_span_id", "parent_id"),
        *("agent", "name", "attributes", "metadata", "tags", "session_id", "user_id", "environment", "release"),
        *("status", "error", "input", "output", "duration_ms"),
    )
)


class BadField(Exception):
    """One field of one event is wrong: its name, what is expected of it, and a code for programs."""

    def __init__(self, field: str, expected: str, *, code: str = "invalid") -> None:
        self.field, self.expected, self.code = field, expected, code
        super().__init__(field)


@dataclass(frozen=True, slots=True)
class Event:
    """One event as sent. Every reader raises BadField; None and an absent field are the same."""

    raw: dict[str, Any]

    @classmethod
    def of(cls, raw: Any) -> Event:
        if not isinstance(raw, dict):
            raise BadField("", "an event is an object")
        return cls(raw)

    @property
    def kind(self) -> str:
        return self.text("kind", required=True, alias="type")

    def text(self, name: str, *, required: bool = False, alias: str = "", most: int | None = TEXT_MAX) -> str:
        value = self.raw.get(name)
        if value is None and alias:
            value = self.raw.get(alias)
        if value is None or value == "":
            if required:
                raise BadField(name, "is missing", code="missing")
            return ""
        if not isinstance(value, str):
            raise BadField(name, "is not text")
        if most is not None and len(value) > most:
            raise BadField(name, f"has more than {most} characters", code="too_long")
        return value.replace("\0", "\ufffd")  # PostgreSQL keeps no NUL

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.raw.get(name) or []
        if not isinstance(value, list) or len(value) > TAGS_MAX:
            raise BadField(name, f"is an array of at most {TAGS_MAX} texts")
        if not all(isinstance(item, str) and len(item) <= TEXT_MAX for item in value):
            raise BadField(name, f"holds texts of at most {TEXT_MAX} characters")
        return tuple(value)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._plain(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise BadField(name, "is not an object")
        return dict(value)

    def content(self, name: str) -> str:
        """Any JSON, as text: text stays as it is."""
        value = self._plain(name)
        if value is None or isinstance(value, str):
            return value or ""
        return orjson.dumps(value).decode()

    def rest(self) -> dict[str, Any]:
        """Whatever is not one of the common fields."""
        values = {name: self._plain(name) for name in self.raw if name not in _COMMON}
        return {name: value for name, value in values.items() if value is not None}

    def _plain(self, name: str) -> Any:
        value = self.raw.get(name)
        if isinstance(value, (dict, list)) and _is_deeper(value, NESTING_MAX):
            raise BadField(name, f"is nested deeper than {NESTING_MAX} levels", code="too_deep")
        return value

    def duration_ms(self, name: str) -> float | None:
        value = self.raw.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= DURATION_MS_MAX:
            raise BadField(name, "is not a number of milliseconds from 0 to a year")
        return float(value)

    def count(self, name: str, *, most: int = COUNT_MAX) -> int | None:
        """A whole number of 0 to ``most``; 12.0 and "12" are understood."""
        value = self.raw.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BadField(name, f"is not a whole number of 0 to {most:,}")
        return value

    def money(self, name: str) -> Decimal | None:
        value = self.raw.get(name)
        if value is None or value == "":
            return None
        try:
            amount = Decimal(str(value)) if isinstance(value, (int, float, str)) else Decimal("NaN")
        except InvalidOperation:
            amount = Decimal("NaN")
        if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount <= COST_USD_MAX:
            raise BadField(name, f"is not an amount of 0 to {COST_USD_MAX:,} USD")
        return amount

    def duration_ns(self, name: str) -> int:
        return round((self.duration_ms(name) or 0.0) * 1_000_000)

    def time_ns(self, name: str, *, required: bool = False) -> int:
        """RFC 3339 (UTC where no offset is given) or Unix seconds, as Unix nanoseconds."""
        value = self.raw.get(name)
        if value is None or value == "":
            if required:
                raise BadField(name, "is missing", code="missing")
            return 0
        try:
            return _to_ns(value)
        except (ValueError, TypeError, OverflowError):
            raise BadField(name, "is not an RFC 3339 time") from None

    def trace_id(self) -> str:
        value = self.text("trace_id").lower()
        if value and (len(value) != 32 or not value.strip("0") or set(value) - set("0123456789abcdef")):
            raise BadField("trace_id", "is not 32 hex digits")
        return value


def _to_ns(value: object) -> int:
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 10**11:
        raise ValueError
    return round(Decimal(str(value)) * 10**9)


def _is_deeper(value: object, levels: int) -> bool:
    todo = [(value, 0)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, dict):
            inside: Any = item.values()
        elif isinstance(item, list):
            inside = item
        else:
            continue
        if depth >= levels:
            return True
        todo.extend((one, depth + 1) for one in inside)
    return False
