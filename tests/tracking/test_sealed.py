"""A secret comes back as it was, under its own key only, and nothing of it can be read in what is stored."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import BinaryField
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from tracking.alerts import destinations
from tracking.audit import SYSTEM
from tracking.management.commands.reseal import SEALED
from tracking.models import Destination, Team
from tracking.sealed import CannotUnseal, is_current, seal, unseal


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert unseal(memoryview(seal(text))) == text


def test_the_text_is_not_in_what_is_stored_and_no_two_seals_are_alike() -> None:
    one, other = seal("sk-provider-key"), seal("sk-provider-key")
    assert b"sk-provider-key" not in one
    assert one != other


def test_a_changed_key_is_told_and_the_old_one_still_reads(settings: Settings) -> None:
    sealed, settings.SECRET_KEY = seal("hush"), "another key"
    with pytest.raises(CannotUnseal, match="WFLO_OLD_SECRET_KEYS"):
        unseal(sealed)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY, "first key"]
    with pytest.raises(CannotUnseal, match="another WFLO_SECRET_KEY"):
        unseal(sealed)


def test_what_an_old_key_sealed_is_read_and_known_to_be_old(settings: Settings) -> None:
    settings.SECRET_KEY = "first key"
    old = seal("hush")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second key", ["first key"]
    assert unseal(old) == "hush"
    assert not is_current(old)
    assert is_current(seal("hush"))


@pytest.mark.parametrize("place", [0, 5, 17, -1])
def test_a_changed_byte_is_found(place: int) -> None:
    damaged = bytearray(seal("hush"))
    damaged[place] ^= 1
    with pytest.raises(CannotUnseal, match="damaged"):
        unseal(bytes(damaged))


@pytest.mark.parametrize("stored", [b"", b"\x01", b"hush", b"\x02" + bytes(60)])
def test_what_was_never_sealed_is_refused(stored: bytes) -> None:
    with pytest.raises(CannotUnseal, match="damaged"):
        unseal(stored)


@pytest.mark.django_db
def test_the_command_seals_anew_so_that_old_keys_can_go(team: Team, settings: Settings) -> None:
    settings.SECRET_KEY = "first key"
    given = {"name": "hook", "kind": "webhook", "actor": SYSTEM}
    destinations.create(team, address="https://example.org/1", **given)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second key", ["first key"]
    destinations.create(team, address="https://example.org/2", **given)
    call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = []
    addresses = [destinations.address_of(destination) for destination in destinations.destinations_of(team)]
    assert addresses == ["https://example.org/1", "https://example.org/2"]
    settings.SECRET_KEY = "third key"
    with pytest.raises(CommandError, match="4 cannot be read"):
        call_command("reseal")
    assert Destination.objects.count() == 2


def test_the_command_knows_every_column_that_holds_a_secret() -> None:
    named = {(model.__name__, field) for model, fields in SEALED for field in fields}
    binary = {
        (model.__name__, field.name)
        for model in apps.get_app_config("tracking").get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, BinaryField)
    }
    digests = {
        ("ApiKey", "digest"),
        ("AuditEntry", "previous_hash"),
        ("AuditEntry", "hash"),
        ("KeptAnswer", "request_hash"),
        ("StatePart", "digest"),
        ("JobStep", "key"),
        ("JobStep", "lane"),
        ("JobStep", "input_hash"),
    }
    contents = {("Payload", "body"), ("KeptAnswer", "body"), ("StatePart", "body"), ("Checkpoint", "manifest")}
    assert binary == named | digests | contents, "is it a secret? say so in reseal.py, or here that it is none"
