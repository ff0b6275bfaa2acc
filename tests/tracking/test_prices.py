"""Dated prices: loaded, set, looked up, charged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal as D
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from tracking import pricing
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid
from tracking.models import AuditEntry, Price, Span, Team
from tracking.price_book import PriceBook, book
from tracking.price_input import FIELDS
from wflo import price_map
from wflo.pricing import CostStatus
from wflo.rates import OffPeak, Rates, Window
from wflo.usage import Usage

ALICE = Actor("person", "1", "Alice", 1)
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CHEAP = {"input_usd_per_million": 1, "output_usd_per_million": 2}
DEAR = {"input_usd_per_million": 10, "output_usd_per_million": 20}
Commit = Callable[..., Any]


@pytest.fixture(autouse=True)
def _a_new_book() -> Iterator[None]:
    book.expire()
    yield
    book.expire()


@dataclass
class Row:
    """A span's row, as far as charging needs one."""

    model: str | None
    provider: str | None = None
    tool_name: str | None = None
    usage: Usage = Usage(input_tokens=1_000_000, output_tokens=0)
    started_us: int = int(NOW.timestamp() * 1_000_000)
    is_aggregate: bool = False
    cost_units: int | None = None
    cost_status: int = 0


def input_price(team: Team, model: str, at: datetime = NOW, provider: str | None = None) -> D | None:
    book.expire()
    rates = book.rates(team.pk, model, provider, at)
    return None if rates is None or rates.input is None else rates.input * 1_000_000


def listing(*items: tuple[str, str]) -> Callable[[], list[price_map.Listed]]:
    return lambda: [price_map.Listed(model, "openai", Rates(input=D(usd) / 1_000_000)) for model, usd in items]


# --- loading ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_bundled_list_is_loaded_once_and_prices_the_past(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("load_prices")
    assert "0 changed" in capsys.readouterr().out
    rows = Price.objects.count()
    assert rows > 3000
    call_command("load_prices")
    assert ": 0 new, 0 changed" in capsys.readouterr().out
    assert Price.objects.count() == rows
    assert input_price(team, "gpt-4.1-mini-2026-03-01", datetime(2024, 1, 1, tzinfo=UTC), "openai") == D("0.4")
    assert input_price(team, "gpt-4.1-mini-fail429", NOW, "openai") is None
    for model in pricing.DEMO_RATES:
        assert input_price(team, model, NOW, "demo")


@pytest.mark.django_db
def test_a_later_list_adds_rows_for_what_changed_and_keeps_what_it_lost(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_map, "bundled", listing(("m-same", "1"), ("m-moved", "1"), ("m-gone", "1")))
    pricing.load_bundled(now=NOW - 30 * DAY)
    monkeypatch.setattr(price_map, "bundled", listing(("m-same", "1"), ("m-moved", "3"), ("m-new", "7")))
    loaded = pricing.load_bundled(now=NOW)
    assert (loaded.added, loaded.changed) == (1, 1)
    assert input_price(team, "m-moved", NOW - DAY) == 1
    assert input_price(team, "m-moved", NOW) == 3
    assert input_price(team, "m-gone", NOW) == 1
    assert input_price(team, "m-new", NOW - 300 * DAY) == 7


# --- setting ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_teams_price_goes_before_an_operators_and_that_before_the_list(
    team: Team, other_team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_map, "bundled", listing(("m", "5")))
    pricing.load_bundled(now=NOW)
    pricing.set_price(SYSTEM, None, "M", CHEAP, valid_from="2026-01-01")
    pricing.set_price(ALICE, team, "m", DEAR, valid_from="2026-02-01")
    assert input_price(team, "m") == 10
    assert input_price(team, "m", datetime(2026, 1, 31, tzinfo=UTC)) == 1
    assert input_price(team, "m", datetime(2025, 12, 31, tzinfo=UTC)) == 5
    assert input_price(other_team, "m") == 1


@pytest.mark.django_db
def test_a_later_list_does_not_undo_what_an_operator_set(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_map, "bundled", listing(("m", "5")))
    pricing.load_bundled(now=NOW - 9 * DAY)
    pricing.set_price(SYSTEM, None, "m", CHEAP, valid_from=NOW - 5 * DAY)
    monkeypatch.setattr(price_map, "bundled", listing(("m", "6")))
    pricing.load_bundled(now=NOW - DAY)
    assert input_price(team, "m") == 1


@pytest.mark.django_db
def test_a_teams_price_counts_for_the_dated_name_and_for_any_server_of_the_model(team: Team) -> None:
    pricing.set_price(ALICE, team, "house-model", CHEAP, valid_from="2026-01-01")
    assert input_price(team, "house-model-2026-02-02", provider="openai") == 1
    assert input_price(team, "house-model", provider="ollama") == 1
    assert input_price(team, "house-model-2", provider="ollama") is None


@pytest.mark.django_db
def test_a_later_call_never_changes_an_earlier_day(team: Team) -> None:
    pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    pricing.set_price(ALICE, team, "m", DEAR, valid_from="2026-03-01")
    assert input_price(team, "m", datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)) == 1
    assert input_price(team, "m", datetime(2026, 3, 1, tzinfo=UTC)) == 10
    with pytest.raises(Invalid) as refused:
        pricing.set_price(ALICE, team, "m", DEAR, valid_from="2026-01-01")
    assert refused.value.field == "valid_from"
    assert input_price(team, "m", datetime(2026, 2, 28, tzinfo=UTC)) == 1


@pytest.mark.django_db
def test_the_first_price_of_a_day_holds_for_the_whole_day_and_the_next_from_now_on(team: Team) -> None:
    first = pricing.set_price(ALICE, team, "m", CHEAP)
    before = datetime.now(UTC)
    second = pricing.set_price(ALICE, team, "m", DEAR)
    assert (first.valid_from.hour, first.valid_from.minute, first.valid_from.second) == (0, 0, 0)
    assert second.valid_from >= before
    assert input_price(team, "m", before) == 1


@pytest.mark.django_db
def test_the_same_price_again_is_the_same_row(team: Team) -> None:
    first = pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    assert pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01T00:00:00Z").pk == first.pk
    assert pricing.set_price(ALICE, team, "m", CHEAP).pk == first.pk
    assert AuditEntry.objects.filter(action="price.set").count() == 1


@pytest.mark.django_db
def test_a_change_is_in_the_audit_log_with_what_was_and_what_is(team: Team) -> None:
    pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    pricing.set_price(ALICE, team, "m", DEAR, valid_from="2026-02-01")
    entry = AuditEntry.objects.filter(team=team, action="price.set").latest("id")
    assert (entry.actor_name, entry.object_id) == ("Alice", "m")
    assert entry.before is not None
    assert entry.after is not None
    assert (entry.before["input_usd_per_million"], entry.after["input_usd_per_million"]) == ("1", "10")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("figures", "field"),
    [
        ({}, "input_usd_per_million"),
        ({"cache_read_usd_per_million": 1}, "input_usd_per_million"),
        ({"input_usd_per_million": -1}, "input_usd_per_million"),
        ({"output_usd_per_million": "NaN"}, "output_usd_per_million"),
        ({"output_usd_per_million": float("inf")}, "output_usd_per_million"),
        ({"input_usd_per_million": "1,5"}, "input_usd_per_million"),
        ({"input_usd_per_million": True}, "input_usd_per_million"),
        ({"input_usd_per_million": [1]}, "input_usd_per_million"),
        ({"input_usd_per_million": 10_001}, "input_usd_per_million"),
        ({"input_usd_per_million": 10**5000}, "input_usd_per_million"),
        ({"input_usd_per_million": "0.0000000001"}, "input_usd_per_million"),
        ({"per_request_usd": 1_001}, "per_request_usd"),
        ({**CHEAP, "input": 1}, "input"),
        ({**CHEAP, "tiers": "x"}, "tiers"),
        ({**CHEAP, "tiers": [{"above_tokens": 0, **CHEAP}]}, "tiers.0.above_tokens"),
        ({**CHEAP, "tiers": [{"above_tokens": 9, "input_usd_per_million": -1}]}, "tiers.0.input_usd_per_million"),
        ({**CHEAP, "services": {"odd": CHEAP}}, "services.odd"),
        ({**CHEAP, "services": {"batch": {"input_usd_per_million": -1}}}, "services.batch.input_usd_per_million"),
    ],
)
def test_a_wrong_figure_is_refused_by_its_name(team: Team, figures: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        pricing.set_price(ALICE, team, "m", figures)
    assert refused.value.field == field
    assert not Price.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "valid_from", "field"),
    [
        ("", None, "model"),
        ("a\nb", None, "model"),
        ("x" * 301, None, "model"),
        ("m", "yesterday", "valid_from"),
        ("m", "1999-12-31", "valid_from"),
        ("m", "2101-01-01", "valid_from"),
        ("m", "0001-01-01T00:00:00+14:00", "valid_from"),
    ],
)
def test_a_wrong_name_or_moment_is_refused(team: Team, model: str, valid_from: str | None, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        pricing.set_price(ALICE, team, model, CHEAP, valid_from=valid_from)
    assert refused.value.field == field


@pytest.mark.django_db
def test_every_bucket_tier_and_service_can_be_set(team: Team) -> None:
    figures: dict[str, object] = dict.fromkeys(FIELDS.values(), "3")
    tiers = [
        {"above_tokens": 200_000, "input_usd_per_million": 6},
        {"above_tokens": 100_000, "input_usd_per_million": 5},
    ]
    pricing.set_price(
        ALICE, team, "m", {**figures, "tiers": tiers, "services": {"batch": CHEAP}}, valid_from="2026-01-01"
    )
    rates = book.rates(team.pk, "m", None, NOW)
    assert rates is not None
    assert rates.cache_write_1h == D("0.000003")
    assert rates.per_request == 3
    assert [tier.above for tier in rates.tiers] == [100_000, 200_000]
    assert rates.in_force("batch").output == D("0.000002")


@pytest.mark.django_db
def test_two_rows_of_one_moment_are_refused_by_the_table_too() -> None:
    one = {"model": "m", "valid_from": NOW, "rates": {}, "source": "litellm"}
    Price.objects.create(**one)
    with pytest.raises(IntegrityError), transaction.atomic():
        Price.objects.create(**one)


# --- the book -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_process_asks_the_table_rarely_and_sees_its_own_change_at_once(
    team: Team,
    django_assert_num_queries: Callable[[int], Any],
    django_capture_on_commit_callbacks: Commit,
) -> None:
    assert book.rates(team.pk, "m", None, NOW) is None
    with django_assert_num_queries(0):
        for model in ("m", "n", "gpt-4o"):
            assert book.rates(team.pk, model, "openai", NOW) is None
    with django_capture_on_commit_callbacks(execute=True):
        pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    with django_assert_num_queries(2):
        assert book.rates(team.pk, "m", None, NOW) is not None


@pytest.mark.django_db
def test_an_unchanged_table_is_not_read_again(team: Team, django_assert_num_queries: Callable[[int], Any]) -> None:
    book.rates(team.pk, "m", None, NOW)
    book.expire()
    with django_assert_num_queries(1):
        book.rates(team.pk, "m", None, NOW)


@pytest.mark.django_db(transaction=True)
def test_threads_that_ask_a_new_book_together_all_get_the_answer(team: Team) -> None:
    pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    fresh, answers = PriceBook(), list[Rates | None]()
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        answers.append(fresh.rates(team.pk, "m", None, NOW))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(rates is not None and rates.input == D("0.000001") for rates in answers)


@pytest.mark.django_db
def test_the_hour_of_the_call_chooses_off_peak_rates(team: Team) -> None:
    nightly = OffPeak(rates=Rates(input=D("0.000001")), windows=(Window(begins=time(0), ends=time(6)),))
    rates = Rates(input=D("0.000002"), off_peak=nightly)
    Price.objects.create(model="m", valid_from=NOW - DAY, rates=rates.to_json(), source="litellm")
    assert input_price(team, "m", NOW) == 2
    assert input_price(team, "m", NOW.replace(hour=5)) == 1


@pytest.mark.django_db(transaction=True)
def test_prices_outlive_a_lost_connection_and_are_checked_again_after_it(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    assert input_price(team, "m") == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    config = connection.get_connection_params()
    names = ("dbname", "host", "port", "user", "password")
    with psycopg.connect(**{name: config[name] for name in names if name in config}, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    assert input_price(team, "m") == 1
    assert "prices could not be checked" in caplog.text
    pricing.set_price(ALICE, team, "m", DEAR, valid_from="2026-02-01")
    assert input_price(team, "m") == 10


# --- charging -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_row_is_charged_at_the_price_of_its_moment(team: Team) -> None:
    pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    pricing.set_price(ALICE, team, "m", DEAR, valid_from=NOW)
    for moment, usd in ((NOW - timedelta(microseconds=1), 1), (NOW, 10)):
        row = Row("m", started_us=round(moment.timestamp() * 1_000_000))
        pricing.charge(team.pk, row)
        assert row.cost_units == usd * 10**10
        assert row.cost_status == Span.CostStatus.KNOWN


@pytest.mark.django_db
def test_unknown_is_unknown_and_never_zero(team: Team) -> None:
    pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    for row in (Row("nobody-knows"), Row(None), Row("m", usage=Usage(input_tokens=5))):
        row.cost_units, row.cost_status = 7, 1
        pricing.charge(team.pk, row)
        assert (row.cost_units, row.cost_status) == (None, Span.CostStatus.UNKNOWN)


@pytest.mark.django_db
def test_a_price_of_zero_someone_set_is_zero(team: Team) -> None:
    pricing.set_price(
        ALICE, team, "m", {"input_usd_per_million": 0, "output_usd_per_million": 0}, valid_from="2026-01-01"
    )
    row = Row("m")
    pricing.charge(team.pk, row)
    assert (row.cost_units, row.cost_status) == (0, Span.CostStatus.KNOWN)


@pytest.mark.django_db
def test_a_tool_costs_what_someone_set_for_it(team: Team) -> None:
    pricing.set_price(ALICE, team, "tool/web_search", {"per_request_usd": "0.01"}, valid_from="2026-01-01")
    row = Row(None, tool_name="web_search", usage=Usage())
    pricing.charge(team.pk, row)
    assert (row.cost_units, row.cost_status) == (10**8, Span.CostStatus.KNOWN)


@pytest.mark.django_db
def test_a_repaired_count_is_an_estimate(team: Team) -> None:
    pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    row = Row("m", usage=Usage(input_tokens=10, output_tokens=0, cached_tokens=20))
    pricing.charge(team.pk, row)
    assert row.cost_status == Span.CostStatus.ESTIMATED


@pytest.mark.django_db
def test_a_sum_of_several_calls_is_not_charged_as_one_long_one(team: Team) -> None:
    figures: dict[str, object] = {**CHEAP, "tiers": [{"above_tokens": 200_000, "input_usd_per_million": 6}]}
    pricing.set_price(ALICE, team, "m", figures, valid_from="2026-01-01")
    row = Row("m", is_aggregate=True)
    pricing.charge(team.pk, row)
    assert (row.cost_units, row.cost_status) == (10**10, Span.CostStatus.ESTIMATED)


@pytest.mark.django_db
def test_the_bill_shows_the_arithmetic_and_the_price_it_rests_on(team: Team) -> None:
    row = pricing.set_price(ALICE, team, "m", CHEAP, valid_from="2026-01-01")
    usage = Usage(input_tokens=1_000, output_tokens=500)
    bill = pricing.bill(team.pk, usage=usage, model="m", provider=None, at=NOW)
    assert bill.price is not None
    assert (bill.price.price_id, bill.price.source, bill.price.valid_from) == (row.pk, "team", row.valid_from)
    assert [(line.tokens, line.usd) for line in bill.cost.lines] == [(1_000, D("0.001")), (500, D("0.001"))]
    unpriced = pricing.bill(team.pk, usage=usage, model="n", provider=None, at=NOW)
    assert unpriced.price is None
    assert unpriced.cost.status is CostStatus.UNKNOWN
