"""The clock opens an alert when a team's rule says so, and closes it when it is over. No rule sees another team."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.make import make_team
from tests.tracking.ingest.spans import call, stored
from tests.tracking.reports.past import DAY, NOON, a_priced_store, begins, run_at
from tracking import alerts
from tracking.alert_watch import watch, watch_team
from tracking.alerts.judging import CallsSeen, SpendSeen, Threshold, judged_calls, judged_spend
from tracking.alerts.rules import Rule, default, remove_rule, rules_of, set_rule
from tracking.alerts.words import sentence
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotFound
from tracking.ingest.writer import Store
from tracking.models import Alert, AlertRule, AuditEntry, Team, User
from tracking.reports.watched import preview
from wflo.spans import Span, Status

D = Decimal


# --- the pure comparisons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "over", "least", "seen", "is_bad"),
    [
        ("errors", 5, 20, CallsSeen(0, 0), False),
        ("errors", 5, 20, CallsSeen(19, 19), False),
        ("errors", 5, 20, CallsSeen(20, 1), False),  # 5% is not over 5%
        ("errors", 5, 20, CallsSeen(20, 2), True),
        ("errors", 0, 0, CallsSeen(0, 0), False),
        ("errors", 0, 0, CallsSeen(1, 1), True),
        ("errors", 100, 0, CallsSeen(5, 5), False),
        ("latency", 5000, 20, CallsSeen(20, 0, 5000.0), False),
        ("latency", 5000, 20, CallsSeen(20, 0, 5000.1), True),
        ("latency", 5000, 20, CallsSeen(19, 0, 9000.0), False),
        ("latency", 5000, 0, CallsSeen(1, 0, None), False),
    ],
)
def test_calls_are_judged(kind: str, over: int, least: int, seen: CallsSeen, is_bad: bool) -> None:
    assert (judged_calls(Threshold(kind, D(over), least), seen) is not None) == is_bad


@pytest.mark.parametrize(
    ("over", "seen", "is_bad"),
    [
        (200, SpendSeen(D(20), D(10), D(40), 8), False),  # twice is not more than twice
        (200, SpendSeen(D("20.01"), D(10), D(40), 8), True),
        (200, SpendSeen(D("20.01"), D(10), D(40), 1), False),  # one day is no custom
        (200, SpendSeen(D("0.3"), D("0.1"), D(40), 8), False),  # cents of a morning
        (200, SpendSeen(D(5), D(0), D(40), 8), True),
        (200, SpendSeen(D(5), D(0), D(0), 8), False),  # usually it costs nothing: nothing to compare with
    ],
)
def test_spend_is_judged(over: int, seen: SpendSeen, is_bad: bool) -> None:
    assert (judged_spend(Threshold("spike", D(over), 0), seen) is not None) == is_bad


# --- rules as people set them -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_team_has_the_documented_rules_from_the_start(team: Team) -> None:
    rules = {rule.kind: (rule.over, rule.is_on, rule.id) for rule in rules_of(team)}
    assert rules == {
        "errors": (D(5), True, None), "latency": (D(5000), True, None),
        "spike": (D(200), True, None), "unpriced": (D(0), True, None),
    }  # fmt: skip
    assert not AlertRule.objects.exists()


@pytest.mark.django_db
def test_a_rule_is_set_changed_and_removed_with_audit(team: Team, alice: User) -> None:
    actor = Actor.of(alice)
    set_rule(team, kind="errors", over="12.5", calls_least=5, severity="critical", actor=actor)
    set_rule(team, kind="errors", over=10, is_on=False, actor=actor)
    set_rule(team, kind="latency", over=900, agent=" ops ", actor=actor)
    rules = rules_of(team)
    assert (rules[0].over, rules[0].calls_least, rules[0].is_on) == (D(10), 20, False)
    assert [(rule.kind, rule.agent) for rule in rules] == [
        ("errors", ""), ("latency", ""), ("spike", ""), ("unpriced", ""), ("latency", "ops"),
    ]  # fmt: skip
    remove_rule(team, rules[0].id, actor=actor)
    assert rules_of(team)[0] == default("errors")
    actions = list(AuditEntry.objects.filter(object_kind="alert_rule").values_list("action", flat=True))
    assert actions == ["alert_rule.set"] * 3 + ["alert_rule.remove"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "mood"}, "kind"),
        ({"over": "a lot"}, "over"),
        ({"over": "NaN"}, "over"),
        ({"over": -1}, "over"),
        ({"over": 101}, "over"),
        ({"calls_least": -1}, "calls_least"),
        ({"severity": "mild"}, "severity"),
        ({"agent": "two\nlines"}, "agent"),
        ({"agent": "x" * 201}, "agent"),
        ({"kind": "unpriced", "agent": "ops"}, "agent"),
    ],
)
def test_fields_of_a_rule_are_checked(team: Team, change: dict[str, Any], field: str) -> None:
    given: dict[str, Any] = {"kind": "errors", "over": 5, "actor": SYSTEM, **change}
    with pytest.raises(Invalid) as caught:
        set_rule(team, **given)
    assert caught.value.field == field


@pytest.mark.django_db
def test_rules_have_a_limit_and_are_the_teams_own(team: Team, other_team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "alert_rules_per_team": 1}
    rule = set_rule(team, kind="errors", over=5, actor=SYSTEM)
    set_rule(team, kind="errors", over=6, actor=SYSTEM)
    with pytest.raises(Invalid, match="at most 1"):
        set_rule(team, kind="latency", over=5, actor=SYSTEM)
    for wanted in (rule.id, "nonsense", None):
        with pytest.raises(NotFound):
            remove_rule(other_team, wanted, actor=SYSTEM)


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def core(transactional_db: None) -> Team:
    return make_team("Core")


def calls(
    hour: float, count: int, *, failed: int = 0, lasts: float = 1, agent: str = "ops", first: int = 1
) -> list[Span]:
    """So many model calls, one a trace."""
    return [
        call(
            1, trace=first + n, begins=begins(hour) + n / 100, lasts=lasts, model="gpt-4o-mini", tokens=(10, 1), agent=agent,
            status=Status.ERROR if n < failed else Status.OK,
        )
        for n in range(count)
    ]  # fmt: skip


def open_kinds(team: Team) -> list[str]:
    return sorted(Alert.objects.filter(team=team, resolved_at=None).values_list("kind", flat=True))


def test_errors_open_an_alert_that_ends_with_them(store: Store, core: Team) -> None:
    stored(store, core, *calls(11.5, 30, failed=3))
    for minute in (0, 1, 2):
        watch_team(core, NOON + timedelta(minutes=minute))
    alert = Alert.objects.get()
    assert (alert.kind, alert.severity, alert.times) == ("errors", "high", 1)
    assert sentence(alert).title == "10% of the team's model calls fail"
    assert f"3 of 30 calls since {DAY:%Y-%m-%d} 11:00 UTC" in sentence(alert).what
    watch_team(core, NOON + timedelta(hours=2))
    assert open_kinds(core) == []


def test_slow_calls_open_an_alert(store: Store, core: Team) -> None:
    stored(store, core, *calls(11.5, 30, lasts=8))
    watch_team(core, NOON)
    assert open_kinds(core) == ["latency"]
    assert sentence(Alert.objects.get()).title.startswith("The team's model calls are slow: p95 ")


def test_a_rule_of_one_agent_looks_at_that_one(store: Store, core: Team) -> None:
    set_rule(core, kind="errors", over=5, is_on=False, actor=SYSTEM)
    set_rule(core, kind="errors", over=5, agent="bad", actor=SYSTEM)
    set_rule(core, kind="errors", over=5, agent="good", actor=SYSTEM)
    stored(store, core, *calls(11.5, 30, failed=30, agent="bad"), *calls(11.5, 30, agent="good", first=50))
    watch_team(core, NOON)
    alert = Alert.objects.get()
    assert (alert.agent, sentence(alert).title) == ("bad", "100% of bad's model calls fail")


def test_a_rule_switched_off_takes_its_alert_along(store: Store, core: Team) -> None:
    stored(store, core, *calls(11.5, 30, failed=30))
    watch_team(core, NOON)
    alerts.open_once(core, "errors", "low", "errors:by-somebody-else")
    set_rule(core, kind="errors", over=5, is_on=False, actor=SYSTEM)
    watch_team(core, NOON)
    assert [alert.dedupe_key for alert in Alert.objects.filter(resolved_at=None)] == ["errors:by-somebody-else"]


def test_a_day_that_costs_thrice_the_usual_opens_one_alert(store: Store, core: Team) -> None:
    for weeks in (1, 2, 3):
        stored(store, core, *run_at(weeks, 9, days_ago=7 * weeks))
    watch_team(core, NOON)
    assert open_kinds(core) == []
    stored(store, core, *(span for n in range(3) for span in run_at(10 + n, 10 + n / 10)))
    watch_team(core, NOON)
    watch_team(core, NOON + timedelta(hours=1))
    alert = Alert.objects.get()
    assert sentence(alert).title == "Today costs 3 times the usual"
    assert sentence(alert).what == f"$0.4500 so far; usually it is $0.1500 by now on a {DAY:%A}."
    watch_team(core, NOON + timedelta(hours=13))
    assert open_kinds(core) == []


def test_an_agents_spike_is_the_agents(store: Store, core: Team) -> None:
    set_rule(core, kind="spike", over=200, agent="planner", actor=SYSTEM)
    for weeks in (1, 2):
        stored(
            store,
            core,
            *run_at(weeks, 9, days_ago=7 * weeks),
            *run_at(20 + weeks, 9, days_ago=7 * weeks, agent="rest", tokens=(20_000_000, 0)),
        )
    stored(store, core, *run_at(5, 9, tokens=(3_000_000, 0)))
    watch_team(core, NOON)
    assert [(alert.kind, alert.agent) for alert in Alert.objects.all()] == [("spike", "planner")]


def test_models_without_a_price_open_one_alert_each(store: Store, core: Team) -> None:
    stored(store, core, *run_at(1, 11.5, model="house-7b"), *run_at(2, 11.6, model="house-70b"), *run_at(3, 11.7))
    watch_team(core, NOON)
    watch_team(core, NOON + timedelta(minutes=1))
    assert sorted(sentence(alert).title for alert in Alert.objects.all()) == [
        "house-70b has no price",
        "house-7b has no price",
    ]
    watch_team(core, NOON + timedelta(hours=20))
    assert open_kinds(core) == ["unpriced", "unpriced"]
    watch_team(core, NOON + timedelta(hours=26))
    assert open_kinds(core) == []


def test_the_round_takes_the_teams_in_which_something_goes_on(store: Store, core: Team) -> None:
    quiet, other = make_team("Quiet"), make_team("Other")
    stored(store, core, *calls(11.5, 30, failed=30))
    stored(store, other, *calls(11.5, 30, first=200))
    assert watch(NOON) == 2
    assert (open_kinds(core), open_kinds(other), open_kinds(quiet)) == (["errors"], [], [])
    assert watch(NOON + timedelta(hours=8)) == 1  # the one whose alert may be over
    assert open_kinds(core) == []
    assert watch(NOON + timedelta(hours=8)) == 0


# --- what a rule would have done --------------------------------------------------------------------------------------


def a_rule(kind: str, over: int, *, agent: str = "", calls_least: int = 20) -> Rule:
    return Rule(None, kind, agent, D(over), calls_least, "low", is_on=True)


def test_the_preview_counts_each_time_it_would_have_begun(store: Store, core: Team) -> None:
    for first, hour in ((1, 3.5), (40, 4.5), (80, 9.5)):
        stored(store, core, *calls(hour, 30, failed=6, first=first))
    seen = preview(core, a_rule("errors", 5), NOON)
    assert (seen.times, seen.last_at) == (2, DAY + timedelta(hours=9))
    assert preview(core, a_rule("errors", 25), NOON).times == 0
    assert preview(core, a_rule("errors", 5, agent="somebody"), NOON).times == 0
    assert preview(core, a_rule("latency", 500), NOON).times == 2


def test_the_preview_of_a_spike_goes_day_by_day(store: Store, core: Team) -> None:
    for weeks in (1, 2, 3, 4, 5):
        stored(store, core, *run_at(weeks, 9, days_ago=7 * weeks))
    stored(store, core, *run_at(20, 10, tokens=(4_000_000, 0)))
    seen = preview(core, a_rule("spike", 200), NOON)
    assert seen.times == 1
    assert seen.last_at is not None
    assert seen.last_at.replace(microsecond=0) == DAY + timedelta(hours=11, seconds=-1)
    assert preview(core, a_rule("spike", 200, agent="planner"), NOON).times == 1


def test_the_preview_of_prices_counts_models(store: Store, core: Team) -> None:
    stored(store, core, *run_at(1, 9, days_ago=3, model="house-7b"), *run_at(2, 9, model="house-70b"))
    assert preview(core, a_rule("unpriced", 0), datetime.now(UTC)).times == 2
