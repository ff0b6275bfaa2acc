"""The search line of the runs list: typed terms, `or`, parentheses, negation. Text in, a tree of terms out.

    status:failed agent:researcher -env:dev cost:>=0.05 (has:unpriced or has:error) model:(gpt-4o or claude*) "battery"

Terms side by side must all hold; `or` joins the two beside it first, so `a or b -c` leaves c out of both. A term that cannot be understood keeps its place, with the reason; nothing is dropped.
Pure: what a term means in SQL is said in ``run_filters``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

CHARACTERS_MAX = 1_000
TERMS_MAX = 40
DEPTH_MAX = 10
NUMBER_MAX = Decimal(10) ** 15

_K, _M, _B = Decimal(1_000), Decimal(1_000_000), Decimal(1_000_000_000)
_COUNT_UNITS = {"": Decimal(1), "k": _K, "m": _M, "b": _B}
_TIME_UNITS = {  # milliseconds
    "": _K,
    "ms": Decimal(1),
    "s": _K,
    "m": 60 * _K,
    "min": 60 * _K,
    "h": 3_600 * _K,
    "d": 86_400 * _K,
}
_MONEY_UNITS = {"": Decimal(1), "usd": Decimal(1), "c": Decimal("0.01")}

STATUS_WORDS = {
    "running": "running",
    "live": "running",
    "completed": "completed",
    "done": "completed",
    "ok": "completed",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "killed": "killed",
    "stopped": "killed",
}
HAS_WORDS = {
    "unpriced": "unpriced",
    "estimated": "estimated",
    "error": "error",
    "errors": "error",
    "loop": "loop",
    "budget": "budget",
    "session": "session",
    "user": "user",
    "tag": "tag",
    "tool": "tool",
    "output": "output",
    "link": "link",
    "cost": "cost",
}
ORIGIN_WORDS = {word: word for word in ("otlp", "sdk", "gateway", "jobs_api", "queue")}
CHOICES = {"status": STATUS_WORDS, "has": HAS_WORDS, "origin": ORIGIN_WORDS}
NUMBERS = {
    "cost": _MONEY_UNITS,
    "tokens": _COUNT_UNITS,
    "duration": _TIME_UNITS,
    "steps": _COUNT_UNITS,
    "errors": _COUNT_UNITS,
    "calls": _COUNT_UNITS,
    "tools": _COUNT_UNITS,
}
WORDS = frozenset(
    {"agent", "starts", "model", "user", "session", "env", "tag", "id", "name", "release", "service", "error", "key"}
)
ALIASES = {"environment": "env", "latency": "duration", "step": "steps", "version": "release", "is": "status"}
FIELDS: tuple[str, ...] = tuple(sorted({*CHOICES, *NUMBERS, *WORDS}))


class Term(NamedTuple):
    """One condition. ``low`` and ``high`` bound a number (``None`` is open); ``word`` is the rest's value."""

    field: str  # one of FIELDS, or "text"
    word: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    is_low_open: bool = False  # the bound itself does not fit
    is_high_open: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple[Node, ...]


Node = Term | Not | All | Either


class Piece(NamedTuple):
    """One piece of the line as it is shown: a term, ``or``, a parenthesis. ``problem`` says why it is red."""

    text: str
    kind: str  # term, or, open, close
    start: int
    end: int
    field: str = ""
    value: str = ""
    is_negated: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked. With a problem anywhere there is no expression: a half-understood search answers wrongly."""

    text: str = ""
    expression: Node | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{piece.text}: {piece.problem}" for piece in self.pieces if piece.problem)


class _Token(NamedTuple):
    kind: str  # term, quote, or, open, close
    text: str
    start: int
    end: int
    is_negated: bool
    field: str
    value: str


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<close>\))
    | (?P<not>-)?(?:
        (?P<open>\()
      | (?P<field>[A-Za-z_]+):(?:(?P<group>\()|"(?P<quoted>[^"]*)"?|(?P<value>[^\s()"]*))
      | "(?P<text>[^"]*)"?
      | (?P<word>[^\s()"]+)
      )
    | (?P<lone>-)
    )""",
    re.VERBOSE,
)


def parse(text: str) -> Search:
    """Read a search line. Never raises: what is wrong stands in ``problems``."""
    text = text.replace("\0", "\ufffd").strip()
    if not text:
        return Search()
    if len(text) > CHARACTERS_MAX:
        return Search(text, None, (_whole(text, f"a search has at most {CHARACTERS_MAX} characters"),))
    reader = _Reader(list(_tokens(text)))
    expression = reader.read()
    search = Search(text, expression, tuple(reader.pieces))
    return search if not search.problems else Search(text, None, search.pieces)


def _whole(text: str, problem: str) -> Piece:
    return Piece(text[:80] + "…", "term", 0, len(text), problem=problem)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:  # only blanks are left
            return
        start = at + len(match.group()) - len(match.group().lstrip())
        at = match.end()
        shown, negated = text[start:at], match["not"] is not None
        if match["close"]:
            yield _Token("close", shown, start, at, False, "", "")
        elif match["open"]:
            yield _Token("open", shown, start, at, negated, "", "")
        elif match["field"] and match["group"]:
            yield _Token("open", shown, start, at, negated, match["field"].lower(), "")
        elif match["field"]:
            value = match["quoted"] if match["quoted"] is not None else match["value"]
            yield _Token("term", shown, start, at, negated, match["field"].lower(), value)
        elif match["text"] is not None:
            yield _Token("term", shown, start, at, negated, "text", match["text"])
        elif match["word"] and match["word"].lower() == "or" and not negated:
            yield _Token("or", shown, start, at, False, "", "")
        elif match["word"] and match["word"].lower() == "and" and not negated:
            continue
        else:
            yield _Token("term", shown, start, at, negated, "text", match["word"] or "-")


@dataclass(slots=True)
class _Reader:
    tokens: list[_Token]
    at: int = 0
    terms: int = 0
    pieces: list[Piece] = field(default_factory=list)

    def read(self) -> Node | None:
        node = self._all("", 0)
        while self.at < len(self.tokens):  # a closing parenthesis nobody opened
            self._note(self.tokens[self.at], "there is nothing open to close")
            self.at += 1
            self._all("", 0)
        return node

    def _all(self, inside: str, depth: int) -> Node | None:
        """Everything up to a closing parenthesis: terms, and terms joined by ``or``, that must all hold."""
        parts: list[Node | None] = []
        while self.at < len(self.tokens) and self.tokens[self.at].kind != "close":
            if self.tokens[self.at].kind == "or":
                self._note(self.tokens[self.at], '"or" stands between two terms')
                self.at += 1
            else:
                parts.append(self._either(inside, depth))
        found = tuple(part for part in parts if part is not None)
        return None if not found else found[0] if len(found) == 1 else All(found)

    def _either(self, inside: str, depth: int) -> Node | None:
        parts = [self._one(inside, depth)]
        while self._is_next("or") and self._is_next("term", "open", ahead=1):
            self._note(self.tokens[self.at], None)
            self.at += 1
            parts.append(self._one(inside, depth))
        found = tuple(part for part in parts if part is not None)
        return None if not found else found[0] if len(found) == 1 else Either(found)

    def _is_next(self, *kinds: str, ahead: int = 0) -> bool:
        return self.at + ahead < len(self.tokens) and self.tokens[self.at + ahead].kind in kinds

    def _one(self, inside: str, depth: int) -> Node | None:
        token = self.tokens[self.at]
        self.at += 1
        node = self._group(token, inside, depth) if token.kind == "open" else self._term(token, inside)
        return Not(node) if node is not None and token.is_negated else node

    def _group(self, token: _Token, inside: str, depth: int) -> Node | None:
        place = len(self.pieces)
        self._note(token, self._group_problem(token, inside, depth))
        node = self._all(_canonical(token.field) or inside, depth + 1) if depth < DEPTH_MAX else None
        if self.at < len(self.tokens) and self.tokens[self.at].kind == "close":
            self._note(self.tokens[self.at], None)
            self.at += 1
        elif self.pieces[place].problem is None:
            self.pieces[place] = self.pieces[place]._replace(problem="the parenthesis is not closed")
        if node is None and self.pieces[place].problem is None:
            self.pieces[place] = self.pieces[place]._replace(problem="there is nothing between the parentheses")
        return node

    def _group_problem(self, token: _Token, inside: str, depth: int) -> str | None:
        if depth >= DEPTH_MAX:
            return f"parentheses go at most {DEPTH_MAX} deep"
        if token.field and inside:
            return f"{inside}:(…) already names the term"
        return _unknown(token.field) if token.field else None

    def _term(self, token: _Token, inside: str) -> Node | None:
        self.terms += 1
        named = _canonical(token.field)
        problem: str | None = None
        if self.terms > TERMS_MAX:
            problem = f"a search has at most {TERMS_MAX} terms"
        elif inside and token.field != "text":
            problem = f"{inside}:(…) already names the term"
        elif inside:
            named = inside
        if problem is None and named != "text":
            problem = _unknown(named)
        term: Term | None = None
        if problem is None:
            term, problem = read_term(named, token.value)
        self._note(token, problem, named)
        return term

    def _note(self, token: _Token, problem: str | None, named: str = "") -> None:
        shown = "" if named == "text" else named or token.field
        self.pieces.append(
            Piece(token.text, token.kind, token.start, token.end, shown, token.value, token.is_negated, problem)
        )


def _canonical(name: str) -> str:
    return ALIASES.get(name, name)


def _unknown(name: str) -> str | None:
    name = _canonical(name)
    return None if name in FIELDS else f'there is no term "{name}"; there are {", ".join(FIELDS)}'


def read_term(name: str, value: str) -> tuple[Term | None, str | None]:
    """A term of one field and the text of its value, or why it cannot be one."""
    if name in CHOICES:
        word = CHOICES[name].get(value.lower())
        if word is None:
            return None, f"{name} is one of {', '.join(dict.fromkeys(CHOICES[name].values()))}"
        return Term(name, word), None
    if name in NUMBERS:
        if name == "errors" and value.lower() in ("", "yes"):
            return None, "errors is a number, such as errors:>0"
        return _number_term(name, value)
    if not value:
        return None, "a value is missing"
    return Term(name, value), None


_NUMBER = r"\$?(\d+(?:[.,]\d+)?)\s*([a-zA-Z]*)"
_COMPARED = re.compile(rf"(>=|<=|>|<|=)?{_NUMBER}")
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}")
_EXAMPLES = {"cost": "cost:>=0.05", "tokens": "tokens:>10k", "duration": "duration:>30s"}


def _number_term(name: str, value: str) -> tuple[Term | None, str | None]:
    wrong = f"a number is missing, such as {_EXAMPLES.get(name, f'{name}:>=3')}"
    between = _RANGE.fullmatch(value)
    if between is not None:
        low, high = _number(name, *between.group(1, 2)), _number(name, *between.group(3, 4))
        if isinstance(low, str) or isinstance(high, str):
            return None, low if isinstance(low, str) else str(high)
        return Term(name, low=low, high=high), None
    single = _COMPARED.fullmatch(value)
    if single is None:
        return None, wrong
    number = _number(name, *single.group(2, 3))
    if isinstance(number, str):
        return None, number
    sign = single[1] or "="
    if sign == "=":
        return Term(name, low=number, high=number), None
    if sign.startswith(">"):
        return Term(name, low=number, is_low_open=sign == ">"), None
    return Term(name, high=number, is_high_open=sign == "<"), None


def _number(name: str, digits: str, unit: str) -> Decimal | str:
    units = NUMBERS[name]
    if unit.lower() not in units:
        return f'{name} knows no unit "{unit}"; it knows {", ".join(u for u in units if u)}'
    number = Decimal(digits.replace(",", ".")) * units[unit.lower()]
    return number if number <= NUMBER_MAX else "the number is too large"
