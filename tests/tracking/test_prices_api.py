"""PUT /api/v1/prices/{model}: dated, per team, each mistake names its field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from tests.make import make_key
from tracking.models import AuditEntry, Price, Team
from tracking.price_book import book

pytestmark = pytest.mark.django_db


def put(team: Team, model: str, body: dict[str, Any]) -> Any:
    _, key = make_key(team, scopes=["admin"])
    return Client().put(
        f"/api/v1/prices/{model}",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


def test_a_price_holds_from_its_day_and_for_its_team_only(team: Team, other_team: Team) -> None:
    answer = put(
        team, "house/model-7", {"input_usd_per_million": 1.5, "output_usd_per_million": "6", "valid_from": "2026-03-01"}
    )
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "model": "house/model-7",
        "valid_from": "2026-03-01T00:00:00Z",
        "source": "team",
        "prices": {"input_usd_per_million": 1.5, "output_usd_per_million": 6},
    }
    book.expire()
    march, february = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 2, 27, tzinfo=UTC)
    rates = book.rates(team.id, "house/model-7", None, march)
    assert rates is not None
    assert rates.input == Decimal("0.0000015")
    assert book.rates(team.id, "house/model-7", None, february) is None
    assert book.rates(other_team.id, "house/model-7", None, march) is None
    assert AuditEntry.objects.filter(team=team, action="price.set").count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input_usd_per_million"),
        ({"input_usd_per_million": -1}, "input_usd_per_million"),
        ({"input_usd_per_million": "NaN"}, "input_usd_per_million"),
        ({"input_usd_per_million": 1, "colour": 2}, "colour"),
        ({"input_usd_per_million": 1, "valid_from": "soon"}, "valid_from"),
    ],
)
def test_each_mistake_names_its_field_and_nothing_is_kept(team: Team, body: dict[str, Any], field: str) -> None:
    answer = put(team, "house-model", body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert field in answer.content.decode()
    assert not Price.objects.filter(team=team).exists()


def test_a_later_call_never_changes_an_earlier_day(team: Team) -> None:
    put(team, "house-model", {"input_usd_per_million": 1, "valid_from": "2026-03-01"})
    refused = put(team, "house-model", {"input_usd_per_million": 2, "valid_from": "2026-03-01"})
    assert refused.status_code == 400
    assert [price.rates["input"] for price in Price.objects.filter(team=team)] == ["0.000001"]
