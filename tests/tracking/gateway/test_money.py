"""Money through the gateway. The numbers B… are cases of the catalogue of money faults."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D

import httpx
from django.utils.timezone import now

from tests.tracking.gateway.conftest import OUTPUT_USD, Gateway, make_group
from tracking import keys, pricing
from tracking.audit import SYSTEM
from tracking.ledger.calls import OF_THE_CALL
from tracking.models import Alert, ApiKey, BudgetPeriod, LedgerEntry, Refusal, Reservation, Span
from wflo_site.processes import wait_until


def at_once(gateway: Gateway, calls: int, **fields: object) -> Counter[int]:
    with (
        ThreadPoolExecutor(calls) as threads,
        httpx.Client(base_url=gateway.server.url, timeout=60, limits=httpx.Limits(max_connections=calls)) as client,
    ):
        gateway = Gateway(gateway.server, gateway.provider, client, gateway.team, gateway.key)
        return Counter(threads.map(lambda n: gateway.chat(f"a b c {n}", **fields).status_code, range(calls)))


def test_two_hundred_at_once_spend_no_more_than_there_is_and_no_less(gateway: Gateway) -> None:
    """B1: money for 10 calls."""
    one = 2 * D("0.000001") + 4 * OUTPUT_USD
    budget = gateway.budget(str(one * 10))
    got = at_once(gateway, 200, max_tokens=4)
    assert got[200] >= 10
    assert got[200] + got[429] == 200
    assert gateway.spent(budget) == gateway.billed() <= one * 10
    assert len(gateway.provider.bill) == got[200]


def test_what_is_not_spent_is_free_at_once(gateway: Gateway) -> None:
    """B7: ten calls that may cost almost everything, one after the other."""
    budget = gateway.budget("0.011")
    for _ in range(10):
        assert gateway.chat("a b", max_tokens=1000).status_code == 200
    assert gateway.spent(budget) == gateway.billed()


def test_a_provider_that_answers_more_than_it_may_is_paid_and_the_team_is_stopped(gateway: Gateway) -> None:
    """B8."""
    budget = gateway.budget("0.001")
    assert gateway.chat("a", model="echo-deaf", max_tokens=80).status_code == 200
    assert gateway.spent(budget) == gateway.billed() > D("0.001")
    assert gateway.chat("a").status_code == 429


def test_without_usage_the_answer_is_counted_and_marked(gateway: Gateway) -> None:
    """B18."""
    budget = gateway.budget("1")
    for stream in (False, True):
        assert gateway.chat("a b c d e f g h", model="echo-nousage", stream=stream).status_code == 200
    assert 0 < gateway.spent(budget) < D("0.001")
    assert [entry.is_estimated for entry in LedgerEntry.objects.filter(team=gateway.team)] == [True, True]


def test_nonsense_for_usage_costs_all_that_was_held(gateway: Gateway) -> None:
    """B19."""
    budget = gateway.budget("1")
    assert gateway.chat("a b", model="echo-badusage", max_tokens=100).status_code == 200
    assert gateway.spent(budget) >= 100 * OUTPUT_USD
    assert LedgerEntry.objects.get(team=gateway.team).is_estimated


def test_without_a_cap_one_is_held_and_sent_where_a_budget_applies(gateway: Gateway) -> None:
    """B20."""
    gateway.budget("1")
    gateway.chat("a")
    assert gateway.provider.requests[-1]["body"]["max_tokens"] == 16_384
    assert Reservation.objects.get(team=gateway.team).held_usd < D("0.2")


def test_odd_caps_are_refused_and_hold_nothing(gateway: Gateway) -> None:
    """B21."""
    gateway.budget("1")
    for cap in (0, -1, 10**9, "12", True, 1.5):
        answer = gateway.chat("a", max_tokens=cap)
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, "max_tokens"), cap
    assert gateway.chat("a", max_tokens=None).status_code == 200
    assert Reservation.objects.filter(team=gateway.team).count() == 1


def test_every_choice_is_held_for_and_paid(gateway: Gateway) -> None:
    """B22."""
    budget = gateway.budget("1")
    assert gateway.chat("a b c", n=3).status_code == 200
    assert gateway.spent(budget) == gateway.billed()
    assert gateway.chat("a", n=1000).status_code == 422


def test_a_model_without_a_price_is_refused_under_money_with_the_way_to_set_one(gateway: Gateway) -> None:
    """B25."""
    make_group(gateway.team, "nobody-priced", gateway.provider.url, "echo-unpriced-x")
    assert gateway.chat("a", model="nobody-priced").json()["agentwall"]["cost_usd"] is None
    gateway.budget("1")
    answer = gateway.chat("a", model="nobody-priced")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_unpriced")
    assert "/prices" in answer.json()["error"]["message"]


def test_a_model_that_is_free_may_be_called_by_the_broke(gateway: Gateway) -> None:
    """B26."""
    gateway.budget("0")
    assert gateway.chat("a", model="free").status_code == 200
    assert gateway.chat("a").status_code == 429


def test_a_limit_lowered_in_flight_lets_the_call_finish_and_stops_the_next(gateway: Gateway) -> None:
    """B27, B28."""
    budget = gateway.budget("1")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(gateway.chat, "a b", model="echo-slow", max_tokens=50)
        assert wait_until(lambda: Reservation.objects.filter(team=gateway.team, state=0).exists(), seconds=5)
        budget.limit_usd = D(0)
        budget.save(update_fields=["limit_usd"])
        assert gateway.chat("a").status_code == 429
        assert running.result().status_code == 200
    budget.limit_usd = D(1)
    budget.save(update_fields=["limit_usd"])
    assert gateway.chat("a").status_code == 200
    assert gateway.spent(budget) == gateway.billed()


def test_a_key_revoked_in_flight_settles_to_its_team(gateway: Gateway) -> None:
    """B31, B32: keys never move to another team, and a call settles to the one it was held for."""
    budget = gateway.budget("1")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(gateway.chat, "a b", model="echo-slow")
        assert wait_until(lambda: Reservation.objects.filter(team=gateway.team, state=0).exists(), seconds=5)
        keys.revoke(ApiKey.objects.get(team=gateway.team), actor=SYSTEM)
        assert running.result().status_code == 200
    assert wait_until(lambda: gateway.chat("a").status_code == 401, seconds=5)
    assert gateway.spent(budget) == gateway.billed() > 0


def test_a_call_waits_for_money_that_others_hold(gateway: Gateway) -> None:
    budget = gateway.budget("0.0011")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(gateway.chat, "a b", model="echo-slow", max_tokens=100)
        assert wait_until(lambda: Reservation.objects.filter(team=gateway.team, state=0).exists(), seconds=5)
        assert gateway.chat("a b", max_tokens=60).status_code == 200
        assert running.result().status_code == 200
    assert gateway.spent(budget) == gateway.billed()


def test_budgets_of_agent_model_user_and_run_bind_their_own(gateway: Gateway) -> None:
    gateway.budget("0", scope_kind="agent", scope_id="spender", name="spender")
    gateway.budget("0", scope_kind="user", scope_id="u-1", name="u-1")
    gateway.budget("0", scope_kind="model", scope_id="echo-long", name="echo-long")
    gateway.budget("0.00005", scope_kind="run", window="run", name="each run")
    assert gateway.chat("a").status_code == 200
    for refused in (
        {"headers": {"x_wflo_agent": "spender"}},
        {"user": "u-1"},
        {"model": "echo-long"},
        {"words": " ".join("a" * 200), "headers": {"x_wflo_run_id": "r-1"}},
    ):
        assert gateway.chat(**{"words": "a", **refused}).status_code == 429, refused
    assert gateway.chat("a", headers={"x_wflo_run_id": "r-2"}, max_tokens=2).status_code == 200


def test_a_failed_call_gives_its_money_back(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    for model, status in (("echo-fail500", 500), ("echo-fail429", 429), ("echo-fail400", 400)):
        assert gateway.chat("a", model=model).status_code == status
    assert gateway.spent(budget) == 0
    assert wait_until(lambda: Span.objects.filter(team=gateway.team, status=2).count() == 3, seconds=10)
    assert not Span.objects.filter(team=gateway.team, cost_usd__gt=0).exists()


def test_a_price_set_now_counts_from_now_on(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    gateway.chat("a b c")
    before = gateway.spent(budget)
    figures = {"input_usd_per_million": "10", "output_usd_per_million": "100"}
    pricing.set_price(SYSTEM, gateway.team, "openai/echo", figures, valid_from=now() - timedelta(seconds=1))

    def dearer() -> bool:
        had = gateway.spent(budget)
        gateway.chat("a b c")
        return gateway.spent(budget) - had == before * 10

    assert wait_until(dearer, seconds=10)


def test_an_elastic_budget_is_over_by_a_slice_at_most(gateway: Gateway) -> None:
    budget = gateway.budget("0.003", mode="elastic")
    answer = gateway.chat("a", model="echo-long", max_tokens=2000, stream=True)
    assert answer.status_code == 200
    assert "budget_exceeded" in answer.text
    spent = gateway.spent(budget)
    assert D("0.0025") < spent <= D("0.003") + 300 * OUTPUT_USD
    assert BudgetPeriod.objects.get(budget=budget).held_usd == 0


def test_a_run_may_be_given_its_dollars_by_its_calls(gateway: Gateway) -> None:
    """``X-Run-Budget``: the calls of a run that name it spend no more together, however many at once, and others are free."""
    one = 2 * D("0.000001") + 4 * OUTPUT_USD
    said = {"x-run-budget": f"{one * 5}", "x-agentwall-run-id": "thrifty"}
    got = at_once(gateway, 60, max_tokens=4, headers=said)
    assert got[200] >= 5
    assert got[200] + got[429] == 60
    assert gateway.billed() <= one * 5
    refused = gateway.chat("a b c d", max_tokens=4, headers={**said, "x-run-budget": "0"}).json()["error"]
    assert (refused["code"], refused["exceeded_limit"], refused["limit"]) == ("budget_exceeded", "run", 0)
    assert "X-Run-Budget" in refused["message"]
    assert gateway.chat("a b", headers={**said, "x-agentwall-run-id": "other"}, max_tokens=1).status_code == 200
    assert gateway.chat("a b", headers={"x-agentwall-run-id": "thrifty"}, max_tokens=1).status_code == 200
    assert gateway.chat("c d", headers={**said, "x-run-budget": "1"}, max_tokens=1).status_code == 200
    gateway.at_rest()


def test_a_call_without_a_run_is_given_its_own_dollars(gateway: Gateway) -> None:
    assert gateway.chat("a b c", max_tokens=500, headers={"x-run-budget": "0.0005"}).status_code == 200
    assert gateway.provider.requests[-1]["body"]["max_tokens"] < 50
    for odd in ("-1", "nan", "many", "1e9"):
        answer = gateway.chat("a", headers={"x-run-budget": odd})
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, "X-Run-Budget"), odd


def test_every_refusal_of_many_at_once_is_kept_and_counted(gateway: Gateway) -> None:
    budget = gateway.budget("0")
    got = at_once(gateway, 100, max_tokens=4)
    assert got == {429: 100}
    assert wait_until(lambda: Refusal.objects.filter(team=gateway.team).count() == 100, seconds=10)
    alert = Alert.objects.get(team=gateway.team, dedupe_key__startswith=f"budget:{budget.pk}:refused")
    assert alert.times == 100
    gateway.chat("a", headers={"x-run-budget": "0"}, model="free")
    assert Alert.objects.filter(team=gateway.team, dedupe_key__contains=str(OF_THE_CALL)).count() == 0
