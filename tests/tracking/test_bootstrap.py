from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tracking import audit
from tracking.keys import ALL_SCOPES, caller_for
from tracking.models import ApiKey, Price, Team, User

pytestmark = pytest.mark.django_db


def _bootstrap() -> dict[str, Any]:
    out = io.StringIO()
    call_command("bootstrap", stdout=out)
    (line,) = out.getvalue().splitlines()
    made: dict[str, Any] = json.loads(line)
    return made


def test_the_first_start_makes_what_is_needed_and_says_it_once(settings: Settings) -> None:
    settings.WFLO_API_KEY = settings.WFLO_ADMIN_PASSWORD = ""
    made = _bootstrap()
    assert made["team"] == "My team"
    assert User.objects.get(email=made["admin_email"]).check_password(made["admin_password"])
    assert caller_for(made["api_key"]).scopes == set(ALL_SCOPES)
    assert made["prices"] == Price.objects.count() > 1000
    assert _bootstrap() == {}
    assert (Team.objects.count(), User.objects.count(), ApiKey.objects.count()) == (1, 1, 1)
    assert audit.verify(Team.objects.get()) is None


def test_the_first_start_takes_what_it_is_given(settings: Settings) -> None:
    settings.WFLO_TEAM = "Support agents"
    settings.WFLO_ADMIN_EMAIL = "Root@Example.org"
    settings.WFLO_ADMIN_PASSWORD = "correct horse battery"
    settings.WFLO_API_KEY = "given-key-123"
    made = _bootstrap()
    user = User.objects.get()
    assert (made["admin_email"], user.email) == ("root@example.org", "root@example.org")
    assert user.check_password("correct horse battery")
    assert user.is_superuser
    assert list(Team.objects.get().organization.owners.all()) == [user]
    assert caller_for("given-key-123", scope="admin").team_slug == "support-agents"
    assert _bootstrap() == {}
    settings.WFLO_API_KEY = "another-key-456"  # a later start with a new one
    assert _bootstrap() == {"api_key": "another-key-456"}
    assert caller_for("given-key-123")


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("WFLO_ADMIN_EMAIL", "admin", "WFLO_ADMIN_EMAIL is 'admin'"),
        ("WFLO_API_KEY", "two words", "one word of printable ASCII"),
        ("WFLO_TEAM", "x" * 121, "120 characters"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_makes_nothing(
    settings: Settings, setting: str, value: str, sentence: str
) -> None:
    setattr(settings, setting, value)
    with pytest.raises(CommandError, match=sentence):
        _bootstrap()
    assert not User.objects.exists()
    assert not Team.objects.exists()
