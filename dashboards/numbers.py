"""How figures are written: pure, one rule each. Unknown is a word, never 0 and never a dash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

UNPRICED = "unpriced"
UNKNOWN = "unknown"

_MINUS = "\N{MINUS SIGN}"
_SIGNIFICANT_DIGITS = 4
_CENT = Decimal("0.01")
_UNITS = ((1, ""), (1_000, "k"), (1_000_000, "M"), (1_000_000_000, "B"), (1_000_000_000_000, "T"))


def usd(value: Decimal | int | None) -> str:
    """Money to read: under $1 four significant digits, from $1 two decimals. None is "unpriced"."""
    if value is None:
        return UNPRICED
    amount = Decimal(value)
    size = abs(amount)
    if size == 0:
        return "$0"
    if size < 1:
        step = Decimal(1).scaleb(size.adjusted() - _SIGNIFICANT_DIGITS + 1)
        size = size.quantize(step, rounding=ROUND_HALF_UP)
    text = f"{size:f}" if size < 1 else f"{size.quantize(_CENT, rounding=ROUND_HALF_UP):,f}"
    return f"{_MINUS if amount < 0 else ''}${text}"


def usd_fixed(value: Decimal | int | None, decimals: int = 4) -> str:
    """Money in a ledger: the same number of decimals in the whole column."""
    if value is None:
        return UNPRICED
    amount = Decimal(value).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return f"{_MINUS if amount < 0 else ''}${abs(amount):,f}"


def exact(value: Decimal | int | float | None) -> str:
    """All digits there are, without exponent or trailing zeros."""
    if value is None:
        return UNKNOWN
    text = f"{Decimal(str(value)):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text or "0"


def usd_exact(value: Decimal | int | None) -> str:
    """For titles: the exact amount, as the database has it."""
    if value is None:
        return "The price is not known, so the cost is not known."
    text = exact(value)
    return f"{_MINUS}${text[1:]}" if text.startswith("-") else f"${text}"


def tokens(value: int | None) -> str:
    """Counts to read: ``950``, ``12.4k``, ``144k``, ``1.8M``. None is "unknown"."""
    if value is None:
        return UNKNOWN
    place = 0
    while place + 1 < len(_UNITS) and abs(value) >= _UNITS[place + 1][0]:
        place += 1
    text = _scaled(value, _UNITS[place][0])
    if text == "1000" and place + 1 < len(_UNITS):  # 999,950 is not 1000k
        place += 1
        text = "1"
    return text.replace("-", _MINUS) + _UNITS[place][1]


def _scaled(value: int, unit: int) -> str:
    if unit == 1:
        return str(value)
    scaled = Decimal(value) / unit
    step = Decimal("0.1") if abs(scaled) < 100 else Decimal(1)
    return exact(scaled.quantize(step, rounding=ROUND_HALF_UP))


def duration(milliseconds: float | timedelta | None) -> str:
    """How long: ``380 ms``, ``4.1 s``, ``1 m 14 s``, ``2 h 05 m``, ``3 d 04 h``. None is "unknown"."""
    if milliseconds is None:
        return UNKNOWN
    ms = milliseconds / timedelta(milliseconds=1) if isinstance(milliseconds, timedelta) else float(milliseconds)
    if ms < 1:
        return f"{exact(round(ms, 2))} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{exact(round(ms / 1000, 1))} s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} m"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600:02d} h"


def ago(then: datetime, now: datetime) -> str:
    """An age: ``12 s``, ``6 m``, ``3 h``, ``5 d``; from two weeks on the day. A time to come is "now"."""
    seconds = int((now - then).total_seconds())
    if seconds < 1:
        return "now"
    for unit, size, limit in (("s", 1, 60), ("m", 60, 3600), ("h", 3600, 86_400), ("d", 86_400, 14 * 86_400)):
        if seconds < limit:
            return f"{seconds // size} {unit}"
    return day(then) if then.year == now.year else f"{day(then)} {then.year}"


def day(then: datetime) -> str:
    return f"{then.day} {then:%b}"


def stamp(then: datetime) -> str:
    """The absolute time of titles, in UTC whatever the reader's clock says."""
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def percent(share: float | Decimal | None) -> str:
    """A share of 1: ``34%``, ``0.4%``; a little of something is never 0%."""
    if share is None:
        return UNKNOWN
    hundred = float(share) * 100
    if 0 < abs(hundred) < 0.1:
        return "<0.1%"
    if abs(hundred) < 10 and hundred != round(hundred):
        return f"{hundred:.1f}%".replace("-", _MINUS).replace(".0%", "%")
    return f"{hundred:.0f}%".replace("-", _MINUS)
