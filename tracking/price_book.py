"""PriceBook: every dated price in this process's memory, so that pricing a call asks no database.

One small query every ``LIMITS["price_check_seconds"]`` at most finds out whether there are new rows; if so all are read
again (some 3,500 rows, a few megabytes). Rates stay text until a call needs them. A reader sees one whole state: the
shelf is replaced, never changed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Count, Max, TextField
from django.db.models.functions import Cast

from tracking.errors import Unavailable
from tracking.models import Price
from wflo.model_names import price_keys
from wflo.rates import Rates

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Entry:
    """One row of ``Price``, as the book keeps it."""

    price_id: int
    model: str
    provider: str
    source: str
    valid_from: datetime
    text: str
    _rates: Rates | None = field(default=None, repr=False)

    @property
    def rates(self) -> Rates:
        if self._rates is None:
            self._rates = Rates.from_json(orjson.loads(self.text))
        return self._rates


_Pile = dict[str, tuple[Entry, ...]]  # model -> its rows, the latest valid_from first


class _Shelf:
    """All prices at one moment, and which of them may price a (team, model, provider), best first."""

    def __init__(self, version: tuple[int, int], rows: Iterable[tuple[int | None, Entry]]) -> None:
        self.version = version
        piles: dict[int | str | None, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        for team_id, entry in rows:
            layer = team_id or (Price.Source.OPERATOR.value if entry.source == Price.Source.OPERATOR else None)
            piles[layer][entry.model].append(entry)
        self._layers: dict[int | str | None, _Pile] = {
            layer: {model: tuple(entries) for model, entries in pile.items()} for layer, pile in piles.items()
        }
        self._found: dict[tuple[int, str, str | None], tuple[Entry, ...]] = {}

    def candidates(self, team_id: int, model: str, provider: str | None) -> tuple[Entry, ...]:
        asked = (team_id, model, provider)
        found = self._found.get(asked)
        if found is None:
            found = tuple(self._search(team_id, model, provider))
            if len(self._found) >= settings.LIMITS["prices_remembered"]:
                self._found.clear()
            self._found[asked] = found
        return found

    def _search(self, team_id: int, model: str, provider: str | None) -> Iterable[Entry]:
        """Prices people set, the team's before an operator's; then the published ones. Best name first in each."""
        for layer, is_published in ((team_id, False), (Price.Source.OPERATOR.value, False), (None, True)):
            pile = self._layers.get(layer)
            if pile:
                for key in price_keys(model, provider, is_published=is_published):
                    yield from pile.get(key, ())


class PriceBook:
    """Thread-safe. ``find`` and ``rates`` raise Unavailable only before the first read has succeeded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shelf: _Shelf | None = None
        self._check_at = 0.0

    def find(self, team_id: int, model: str, provider: str | None, at: datetime) -> Entry | None:
        """The price row of a call made at that moment, or None: unpriced."""
        return _first(self._fresh().candidates(team_id, model, provider), at)

    def find_anew(self, team_id: int, model: str, provider: str | None, at: datetime) -> Entry | None:
        """The same by the table as it is now, whoever else is looking at it. Before something is called unpriced."""
        with self._lock:
            self._check_at = 0.0
            return _first(self._checked().candidates(team_id, model, provider), at)

    def rates(self, team_id: int, model: str, provider: str | None, at: datetime) -> Rates | None:
        """The rates of a call made at that moment, off-peak hours heeded; None when the model has no price."""
        entry = self.find(team_id, model, provider, at)
        return None if entry is None else entry.rates.at(at)

    @property
    def is_fresh(self) -> bool:
        """Whether the next question is answered from memory alone, so that an event loop may ask it."""
        return self._shelf is not None and time.monotonic() < self._check_at

    def expire(self) -> None:
        """Look at the table again at the next question."""
        self._check_at = 0.0

    def _fresh(self) -> _Shelf:
        shelf = self._shelf
        if shelf is not None and time.monotonic() < self._check_at:
            return shelf
        if not self._lock.acquire(blocking=shelf is None):
            return shelf if shelf is not None else self._fresh()  # another thread is looking
        try:
            return self._checked()
        finally:
            self._lock.release()

    def _checked(self) -> _Shelf:
        shelf = self._shelf
        if shelf is not None and time.monotonic() < self._check_at:
            return shelf  # while this thread waited for the lock
        self._check_at = time.monotonic() + settings.LIMITS["price_check_seconds"]
        try:
            version = _version()
            if shelf is None or shelf.version != version:
                shelf = self._shelf = _Shelf(version, _rows())
        except (OperationalError, InterfaceError) as error:
            connection.close_if_unusable_or_obsolete()
            if shelf is None:
                self._check_at = 0.0
                raise Unavailable() from error
            # Counted from now: the attempt itself may have taken long.
            self._check_at = time.monotonic() + settings.LIMITS["price_check_seconds"]
            log.warning("prices could not be checked, the ones in memory are used: %s", error)
        return shelf


def _first(entries: Iterable[Entry], at: datetime) -> Entry | None:
    return next((entry for entry in entries if entry.valid_from <= at), None)


def _version() -> tuple[int, int]:
    """Changes with every row that comes or goes. Rows are never updated, and may be committed out of order."""
    found = Price.objects.aggregate(rows=Count("id"), newest=Max("id"))
    return found["rows"], found["newest"] or 0


def _rows() -> Iterable[tuple[int | None, Entry]]:
    shared: dict[datetime, datetime] = {}
    rows = (
        Price.objects.annotate(text=Cast("rates", TextField()))
        .order_by("-valid_from", "-id")
        .values_list("id", "team_id", "model", "provider", "source", "valid_from", "text")
    )
    for price_id, team_id, model, provider, source, valid_from, text in rows.iterator():
        moment = shared.setdefault(valid_from, valid_from)
        yield team_id, Entry(price_id, model, provider, source, moment, text)


book = PriceBook()
