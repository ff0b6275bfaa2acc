"""The prices page: what has no price first, setting one, and charging past calls again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from tests.make import make_user, signed_in
from tracking import pricing
from tracking.audit import SYSTEM
from tracking.models import AuditEntry, Price, Team, User

RATES = {"input_usd_per_million": "2.5", "output_usd_per_million": "10"}


@pytest.fixture
def admin(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def listed(db: None) -> None:
    pricing.set_price(SYSTEM, None, "gpt-test", RATES, valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    pricing.set_price(SYSTEM, None, "claude-test", RATES, valid_from=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_price_is_set_for_the_team_from_a_day_on_and_audited(admin: Client, team: Team, listed: None) -> None:
    form = {"model": "House-Model", **RATES, "cache_read_usd_per_million": "0.25", "valid_from": "2026-03-01"}
    answer = admin.post("/prices/set", form, follow=True)
    price = Price.objects.get(team=team)
    assert (price.model, price.valid_from) == ("house-model", datetime(2026, 3, 1, tzinfo=UTC))
    assert price.rates == {"input": "0.0000025", "output": "0.00001", "cache_read": "0.00000025"}
    assert AuditEntry.objects.filter(team=team, action="price.set").count() == 1
    page = answer.content.decode()
    assert "house-model has a price from 2026-03-01" in page
    assert "What house-model cost" in page


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"model": ""}, "model"),
        ({"input_usd_per_million": "cheap"}, "input_usd_per_million"),
        ({"output_usd_per_million": "-1"}, "output_usd_per_million"),
        ({"valid_from": "next week"}, "valid_from"),
        ({"input_usd_per_million": "", "output_usd_per_million": ""}, "input_usd_per_million"),
    ],
)
def test_a_wrong_price_is_said_beside_its_field_and_nothing_typed_is_lost(
    admin: Client, team: Team, wrong: dict[str, str], field: str
) -> None:
    answer = admin.post("/prices/set", {"model": "house-model", **RATES, "reasoning_usd_per_million": "12.5", **wrong})
    assert answer.status_code == 422
    assert answer.context["error"].field == field
    page = answer.content.decode()
    assert page.count('aria-invalid="true"') == 1
    assert 'value="12.5"' in page
    assert not Price.objects.filter(team=team).exists()


def test_only_admins_set_prices_and_only_operators_for_every_team(admin: Client, bob: User, team: Team) -> None:
    form = {"model": "house-model", **RATES}
    assert signed_in(bob).post("/prices/set", form).status_code == 403
    assert (
        '<form class="body stack" method="post" action="/prices/set"'
        not in signed_in(bob).get("/prices").content.decode()
    )
    assert admin.post("/prices/set", {**form, "everyone": "on"}).status_code == 403
    assert not Price.objects.filter(model="house-model").exists()
    operator = signed_in(make_user("Olga", team=team, role="admin", is_operator=True))
    operator.post("/prices/set", {**form, "everyone": "on"})
    assert Price.objects.get(model="house-model").source == "operator"


def test_another_teams_price_is_not_seen(admin: Client, charlie: User, other_team: Team) -> None:
    signed_in(charlie).post("/prices/set", {"model": "secret-model", **RATES})
    assert Price.objects.filter(team=other_team).exists()
    for path in ("/prices?list=all", "/prices?q=secret", "/prices?model=secret-model"):
        page = admin.get(path).content.decode()
        assert "$2.50" not in page
        assert "What secret-model cost" not in page


def test_a_search_answers_htmx_with_the_table_alone(admin: Client, listed: None) -> None:
    part = admin.get("/prices?q=claude", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "claude-test" in part
    assert "gpt-test" not in part
    whole = admin.get("/prices?q=claude").content.decode()
    assert "<html" in whole
    assert "claude-test" in whole
    assert "gpt-test" not in whole


def test_the_list_goes_on_after_its_last_model(admin: Client, team: Team, settings: object) -> None:
    settings.LIMITS = {**settings.LIMITS, "page_rows": 2}  # type: ignore[attr-defined]
    for name in ("a-model", "b-model", "c-model"):
        pricing.set_price(SYSTEM, team, name, RATES)
    first = admin.get("/prices?list=own").content.decode()
    assert "a-model" in first
    assert "c-model" not in first
    rest = admin.get("/prices?list=own&after=b-model", headers={"HX-Request": "true"}).content.decode()
    assert "c-model" in rest
    assert "a-model" not in rest
    assert "<table" not in rest


def test_a_search_nothing_has_says_what_to_do(admin: Client, listed: None) -> None:
    page = admin.get("/prices?q=nothing-like-it").content.decode()
    assert "No model is called" in page


def test_charging_again_first_says_what_it_would_touch(admin: Client, team: Team, listed: None) -> None:
    answer = admin.post("/prices/reprice", {"model": "gpt-test", "since": "2026-11-01"})
    assert "Nothing would change" in answer.content.decode()
    assert admin.post("/prices/reprice", {"model": "gpt-test", "since": "soon"}).status_code == 422


def test_a_strange_name_is_only_text(admin: Client) -> None:
    page = admin.get("/prices?model=%3Cscript%3Ealert(1)%3C/script%3E%00&q=%00%25_").content.decode()
    assert "<script>alert" not in page
