"""Parts of sentences: names that agents gave, money, times and counts in words. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

NAME_CHARACTERS = 80
SENTENCE_CHARACTERS = 600
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]+")


def clean(value: object, characters: int = NAME_CHARACTERS) -> str:
    """One line without control or direction marks, cut."""
    text = " ".join(_UNFIT.sub(" ", str(value)).split())
    return text if len(text) <= characters else text[: characters - 1] + "…"


def names(value: object) -> list[str]:
    """Of a list those that are names."""
    items = value if isinstance(value, list | tuple) else ()
    return [name for item in items if isinstance(item, str) and (name := clean(item))]


def as_sentence(value: object) -> str:
    text = clean(value, SENTENCE_CHARACTERS)
    return text if not text or text[-1] in ".!?…" else f"{text}."


def moment(value: object) -> str:
    """A time of a payload as people read it; '' when it is none."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    return f"{at:%Y-%m-%d %H:%M}" + (" UTC" if at.tzinfo is not None and not at.utcoffset() else f"{at:%z}")


def usd(value: object) -> str:
    """Under $1 four significant digits, from $1 two decimals; "an unknown amount" for None."""
    number = read_number(value)
    if number is None:
        return "an unknown amount"
    sign, number = ("−" if number < 0 else ""), abs(number)
    if number == 0:
        return "$0"
    if number >= 1:
        return f"{sign}${number:,.2f}"
    digits = max(2, 3 - number.adjusted())
    return f"{sign}${number:.{min(digits, 10)}f}"


def amount(value: object, unit: str) -> str:
    number = read_number(value)
    if number is None:
        return ""
    return usd(number) if unit == "usd" else f"{plain(number)} tokens"


def exact(value: object, unit: str) -> str:
    """To the last digit: a difference of a billionth is one."""
    number = read_number(value)
    if number is None:
        return "nothing"
    return f"${plain(number)}" if unit == "usd" else f"{plain(number)} tokens"


def seconds(milliseconds: Decimal | None) -> str:
    if milliseconds is None:
        return "unknown"
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"


def count(number: Decimal | None, word: str) -> str:
    return f"{plain(number)} {word}" + ("" if number == 1 else "s")


def plain(number: Decimal | None) -> str:
    if number is None:
        return "an unknown number"
    return f"{number:,f}".rstrip("0").rstrip(".") if "." in f"{number:f}" else f"{number:,f}"


def read_number(value: object) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
