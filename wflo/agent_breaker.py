"""When an agent is cut off: a team's policy, and whether an agent spends faster than it ever does. Pure.

    errors     ``failures_max`` of its calls in a row fail
    speed      in ``speed_minutes`` it spends ``speed_max`` times what it usually does in as long, and ``speed_usd_min`` at least
    loop       it goes round in circles, for sure
    guardrail  secrets or personal data are found in its prompts or answers ``hits_max`` times in ``hits_minutes``

Nothing happens where nobody switched it on: ``mode`` is off, tell (an alert, and its calls go on) or on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from statistics import median
from typing import Any

from wflo.circuits import CircuitPolicy

log = logging.getLogger(__name__)

PROBE_SECONDS = 60.0
MINUTES_MAX = 7 * 24 * 60
COUNT_MAX = 10_000
USD_MAX = Decimal(1_000_000)


class Mode(StrEnum):
    OFF = "off"
    TELL = "tell"
    ON = "on"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """None: not for that reason. Raises ValueError, which begins with the field's name, for what means nothing."""

    mode: Mode = Mode.OFF
    failures_max: int | None = 5
    speed_max: Decimal | None = Decimal(10)
    speed_minutes: int = 15
    speed_usd_min: Decimal = Decimal(1)
    speed_hours_min: int = 24  # with any spend in the last weeks: fewer say nothing of what is usual
    on_loop: bool = True
    hits_max: int | None = 3
    hits_minutes: int = 60
    rest_minutes: int = 15
    needs_approval: bool = False  # before it is tried again, whatever the time

    def __post_init__(self) -> None:
        for name in ("failures_max", "speed_hours_min", "hits_max"):
            self._demand(name, 1, COUNT_MAX)
        for name in ("speed_minutes", "hits_minutes", "rest_minutes"):
            self._demand(name, 1, MINUTES_MAX)
        self._demand("speed_max", Decimal("1.5"), COUNT_MAX)
        self._demand("speed_usd_min", Decimal("0.01"), USD_MAX)

    def _demand(self, name: str, least: int | Decimal, most: int | Decimal) -> None:
        value = getattr(self, name)
        if value is not None and not least <= value <= most:
            raise ValueError(f"{name} is a number from {least} to {most:,}.")

    @property
    def is_on(self) -> bool:
        return self.mode is not Mode.OFF

    @property
    def circuit(self) -> CircuitPolicy:
        return CircuitPolicy(
            failures_max=self.failures_max,
            hits_max=self.hits_max,
            window_seconds=self.hits_minutes * 60,
            rest_seconds=self.rest_minutes * 60,
            probe_seconds=PROBE_SECONDS,
        )

    def to_json(self) -> dict[str, Any]:
        """What ``read`` takes: money and multiples as text."""
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in asdict(self).items()}


_WHOLE = ("failures_max", "speed_minutes", "speed_hours_min", "hits_max", "hits_minutes", "rest_minutes")
_DECIMAL = ("speed_max", "speed_usd_min")
_OPEN = ("failures_max", "speed_max", "hits_max")  # may be None
OFF = BreakerPolicy()


def read(given: Mapping[str, Any]) -> BreakerPolicy:
    """A JSON object; what it does not say is usual. Raises ValueError, which begins with the field's name."""
    known = {field.name for field in fields(BreakerPolicy)}
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise ValueError(f"{str(unknown)[:40]} is no part of a breaker's policy.")
    return BreakerPolicy(**{name: _value(name, value) for name, value in given.items()})


def read_stored(given: Mapping[str, Any]) -> BreakerPolicy:
    """The same of what was kept: one that this Wflo cannot read, of a newer one perhaps, cuts nobody off."""
    try:
        return read(given)
    except ValueError as error:
        log.warning("a breaker's policy is not kept to: %s", error)
        return OFF


def _value(name: str, value: Any) -> Any:
    if value is None and name in _OPEN:
        return None
    try:
        if name == "mode":
            return Mode(value)
        is_truth = isinstance(value, bool)
        if name in _DECIMAL and not is_truth and (number := Decimal(str(value))).is_finite():
            return number
        if isinstance(value, int) and name not in _DECIMAL and is_truth is (name not in _WHOLE):
            return value
    except (ValueError, InvalidOperation):
        pass
    raise ValueError(f"{name} cannot be {str(value)[:40]!r}.")


@dataclass(frozen=True, slots=True)
class Fast:
    """``spent_usd`` in ``minutes``, where it is usually ``usual_usd``."""

    spent_usd: Decimal
    usual_usd: Decimal
    minutes: int

    @property
    def times(self) -> Decimal:
        return round(self.spent_usd / self.usual_usd, 1)


def usual_usd(hours: Sequence[Decimal], minutes: int) -> Decimal:
    """Of so many minutes at work: the median of the past hours in which it spent anything."""
    return Decimal(median(hours)) * minutes / 60


def too_fast(policy: BreakerPolicy, spent_usd: Decimal, hours: Sequence[Decimal], minutes: int) -> Fast | None:
    """``hours``: what was spent in each past hour in which anything was. None where all is as usual, or nobody can say."""
    if policy.speed_max is None or len(hours) < policy.speed_hours_min or spent_usd < policy.speed_usd_min:
        return None
    usual = usual_usd(hours, minutes)
    if usual <= 0 or spent_usd < usual * policy.speed_max:
        return None
    return Fast(spent_usd, usual, minutes)
