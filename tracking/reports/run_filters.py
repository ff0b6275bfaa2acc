"""Which runs: the filters of the runs list, and what each of them is in SQL.

Only the columns and expressions written here ever reach PostgreSQL; every value travels as a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from tracking.errors import Invalid
from tracking.models import Run
from tracking.reports import search
from tracking.reports.search import All, Either, Node, Not, Search, Term

VALUES_MAX = 50  # of one filter
VALUE_CHARACTERS_MAX = 300
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)

Sql = tuple[str, list[Any]]

TOKENS_SQL = "(r.input_tokens + r.output_tokens)"
DURATION_SQL = "(extract(epoch FROM coalesce(r.ended_at, r.last_seen_at) - r.started_at) * 1000)"

FLAGS: dict[str, str] = {
    "unpriced": "r.unpriced_calls > 0",
    "estimated": "r.estimated_calls > 0",
    "error": "(r.errors > 0 OR r.error IS NOT NULL)",
    "loop": "r.loop_detected",
    "budget": "r.budget_exceeded",
}
_HAS: dict[str, str] = FLAGS | {
    "session": "r.session_id IS NOT NULL",
    "user": "r.user_id IS NOT NULL",
    "tag": "r.tags <> '{}'",
    "tool": "r.tool_calls > 0",
    "output": "r.output <> ''",
    "link": "r.linked_trace_ids <> '{}'",
    "cost": "r.cost_usd > 0",
}
_NUMBERS: dict[str, str] = {
    "cost": "r.cost_usd",
    "tokens": TOKENS_SQL,
    "duration": DURATION_SQL,
    "steps": "r.span_count",
    "errors": "r.errors",
    "calls": "r.llm_calls",
    "tools": "r.tool_calls",
}
_TEXT_COLUMNS: dict[str, str] = {
    "starts": "r.entry_agent",
    "user": "r.user_id",
    "session": "r.session_id",
    "env": "r.environment",
    "release": "r.release",
    "service": "r.service",
    "name": "r.name",
}
_LISTS: dict[str, str] = {"agent": "r.agents", "model": "r.model_names", "tag": "r.tags"}
_READ = "r.title", "r.name", "r.output", "coalesce(r.error, '')"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilters:
    """Each tuple means "any of"; empty means no filter. ``flags`` must all hold. Times bound ``started_at``."""

    start: datetime | None = None
    end: datetime | None = None
    status: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    min_cost: Decimal | None = None
    search: Search = field(default_factory=Search)

    @property
    def is_plain(self) -> bool:
        """Nothing but a time range is asked for."""
        return self == RunFilters(start=self.start, end=self.end)

    def without_facets(self) -> RunFilters:
        return replace(self, status=(), flags=(), starts=(), model=(), environment=())


def read_filters(values: Mapping[str, object]) -> RunFilters:
    """Filters out of a request's values: lists of strings under the fields' names, ``q``, ``min_cost``, times.

    Raises Invalid, naming the field.
    """
    lists: dict[str, tuple[str, ...]] = {}
    for name in ("status", "flags", "agent", "starts", "model", "origin", "session", "user", "environment", "tag"):
        lists[name] = _words(name, values.get(name))
    lists["status"] = tuple(_choice("status", word, search.STATUS_WORDS) for word in lists["status"])
    for word in lists["origin"]:
        _choice("origin", word, search.ORIGIN_WORDS)
    for word in lists["flags"]:
        _choice("flags", word, {name: name for name in FLAGS})
    found = search.parse(str(values.get("q") or ""))
    if found.problems:
        raise Invalid("The search was not run. " + "; ".join(found.problems), field="q")
    start, end = values.get("start"), values.get("end")
    return RunFilters(
        start=_moment("from", start),
        end=_moment("to", end),
        min_cost=_money(values.get("min_cost")),
        search=found,
        **lists,
    )


def _words(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    words = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [str(value)]
    words = [word for word in dict.fromkeys(str(word) for word in words) if word]
    if len(words) > VALUES_MAX:
        raise Invalid(f"At most {VALUES_MAX} values at once.", field=name)
    if any("\0" in word or len(word) > VALUE_CHARACTERS_MAX for word in words):
        raise Invalid(f"A value has at most {VALUE_CHARACTERS_MAX} characters and no NUL.", field=name)
    return tuple(words)


def _choice(name: str, word: str, words: Mapping[str, str]) -> str:
    known = words.get(word.lower())
    if known is None:
        raise Invalid(f"{name} is one of {', '.join(dict.fromkeys(words.values()))}.", field=name)
    return known


def _moment(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise Invalid("Give a time.", field=name)
    moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    try:
        return max(min(moment.astimezone(UTC), LATEST), EARLIEST)
    except OverflowError:
        raise Invalid("The time is out of range.", field=name) from None


def _money(value: object) -> Decimal | None:
    if value is None:
        return None
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        money = Decimal("NaN")
    if not money.is_finite() or not 0 <= money <= search.NUMBER_MAX:
        raise Invalid("min_cost is an amount of USD, 0 or more.", field="min_cost")
    return money


def where(team_id: int, filters: RunFilters) -> Sql:
    """The condition on ``tracking_run r``. Hidden runs (an agent's declaration, no work) never show."""
    parts = ["r.team_id = %s", "NOT r.is_hidden"]
    values: list[Any] = [team_id]

    def add(part: str, *parameters: Any) -> None:
        parts.append(part)
        values.extend(parameters)

    if filters.start is not None:
        add("r.started_at >= %s", filters.start)
    if filters.end is not None:
        add("r.started_at < %s", filters.end)
    for column, wanted in (
        ("r.status", filters.status),
        ("r.entry_agent", filters.starts),
        ("r.origin", filters.origin),
        ("r.session_id", filters.session),
        ("r.user_id", filters.user),
        ("r.environment", filters.environment),
    ):
        if wanted:
            add(f"{column} = ANY(%s)", list(wanted))
    for column, wanted in (("r.agents", filters.agent), ("r.model_names", filters.model), ("r.tags", filters.tag)):
        if wanted:
            add(f"{column}::text[] && %s::text[]", list(wanted))
    for flag in filters.flags:
        add(FLAGS[flag])
    if filters.min_cost is not None:
        add("r.cost_usd >= %s", filters.min_cost)
    if filters.search.expression is not None:
        sql, more = node_sql(filters.search.expression)
        add(sql, *more)
    return " AND ".join(parts), values


def node_sql(node: Node) -> Sql:
    """A search expression as SQL. Depth is bounded by the grammar, so recursion is."""
    if isinstance(node, Not):
        sql, values = node_sql(node.inner)
        return f"NOT coalesce(({sql}), false)", values
    if isinstance(node, All | Either):
        joiner = " AND " if isinstance(node, All) else " OR "
        found = [node_sql(part) for part in node.parts]
        return "(" + joiner.join(sql for sql, _ in found) + ")", [value for _, values in found for value in values]
    return _term_sql(node)


def _term_sql(term: Term) -> Sql:
    if term.field in _NUMBERS:
        return _between(_NUMBERS[term.field], term)
    if term.field == "has":
        return _HAS[term.word], []
    if term.field in ("status", "origin"):
        return f"r.{term.field} = %s", [term.word]
    if term.field in _TEXT_COLUMNS:
        return _like(_TEXT_COLUMNS[term.field], term.word)
    if term.field in _LISTS:
        return _in_list(_LISTS[term.field], term.word)
    return _SPECIAL[term.field](term.word)


def _between(expression: str, term: Term) -> Sql:
    parts: list[str] = []
    values: list[Any] = []
    if term.low is not None:
        parts.append(f"{expression} {'>' if term.is_low_open else '>='} %s")
        values.append(term.low)
    if term.high is not None:
        parts.append(f"{expression} {'<' if term.is_high_open else '<='} %s")
        values.append(term.high)
    return "(" + " AND ".join(parts) + ")", values


def pattern_of(text: str) -> str:
    """A LIKE pattern in which only * is special."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def _like(column: str, word: str) -> Sql:
    if "*" in word:
        return f"{column} LIKE %s", [pattern_of(word)]
    return f"{column} = %s", [word]


def _in_list(column: str, word: str) -> Sql:
    if "*" in word:
        return f"EXISTS (SELECT FROM unnest({column}) AS item WHERE item LIKE %s)", [pattern_of(word)]
    return f"{column}::text[] @> ARRAY[%s]::text[]", [word]


def _text(word: str) -> Sql:
    pattern = f"%{pattern_of(word.replace('*', ' ').strip())}%"
    return "(" + " OR ".join(f"{column} ILIKE %s" for column in _READ) + ")", [pattern] * len(_READ)


def _error(word: str) -> Sql:
    return "r.error ILIKE %s", [f"%{pattern_of(word.strip('*'))}%"]


def _key(word: str) -> Sql:
    digits = word.replace("-", "").lower()
    if not _is_hex(digits) or len(digits) > 32:
        return "false", []
    return "r.key_id BETWEEN %s AND %s", [UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))]


def _id(word: str) -> Sql:
    """Any of a run's ids, or how one begins: 7c41e09b is enough."""
    digits = word.replace("-", "").lower()
    if not _is_hex(digits) or len(digits) > 32:
        return "r.external_id LIKE %s", [pattern_of(word.rstrip("*")) + "%"]
    low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    sql = "(r.trace_id BETWEEN %s AND %s OR r.id BETWEEN %s AND %s OR r.external_id LIKE %s)"
    return sql, [low, high, low, high, pattern_of(word) + "%"]


def _is_hex(digits: str) -> bool:
    return bool(digits) and all(digit in "0123456789abcdef" for digit in digits)


_SPECIAL: dict[str, Callable[[str], Sql]] = {"text": _text, "error": _error, "key": _key, "id": _id}
STATUS_ORDER: tuple[str, ...] = tuple(Run.Status.values)
