"""Providers' keys, for deployments without their own. Operators only; sealed, and never shown again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from tracking import audit, sealed
from tracking.catalog import fields
from tracking.catalog.hand import Hand, forget_routes
from tracking.errors import Invalid, NotFound
from tracking.gateway import reach
from tracking.models import Organization, ProviderCredential

FIELDS = ("provider", "organization", "api_base", "api_key", "is_active")
_WHAT = "sees or sets providers' keys"


def credentials(hand: Hand) -> list[ProviderCredential]:
    """By provider; the installation's first. Raises NotAllowed."""
    hand.demand_operator(_WHAT)
    rows = ProviderCredential.objects.select_related("organization").order_by("provider", "organization__slug")
    return list(rows[: settings.LIMITS["credentials_listed"]])


def credential_of(id: object, *, hand: Hand) -> ProviderCredential:
    """Raises NotAllowed, NotFound."""
    hand.demand_operator(_WHAT)
    number = int(id) if isinstance(id, int) or (isinstance(id, str) and id.isdigit() and len(id) < 19) else 0
    row = ProviderCredential.objects.select_related("organization").filter(pk=number).first()
    if row is None:
        raise NotFound("There is no such credential.")
    return row


def add_credential(given: Mapping[str, Any], *, hand: Hand) -> ProviderCredential:
    """Raises Invalid naming the field, NotAllowed."""
    hand.demand_operator(_WHAT)
    fields.refuse_unknown(given, FIELDS, what="A credential")
    row = ProviderCredential(provider=fields.provider_of(given.get("provider")))
    row.organization = _organization(given.get("organization"))
    _read(row, {"api_key": None, **given})
    with transaction.atomic():
        _save(row)
        audit.record(hand.actor, None, "credential.add", "credential", row.pk, after=facts(row))
        forget_routes()
    return row


def change_credential(row: ProviderCredential, given: Mapping[str, Any], *, hand: Hand) -> ProviderCredential:
    """Whose it is stays: provider and organization. Raises Invalid naming the field, NotAllowed."""
    hand.demand_operator(_WHAT)
    fields.refuse_unknown(given, ("api_base", "api_key", "is_active"), what="A change of a credential")
    before = facts(row)
    _read(row, given)
    with transaction.atomic():
        _save(row)
        after = facts(row) | ({"key": "set"} if "api_key" in given else {})
        audit.record(hand.actor, None, "credential.change", "credential", row.pk, before=before, after=after)
        forget_routes()
    return row


def delete_credential(row: ProviderCredential, *, hand: Hand) -> None:
    hand.demand_operator(_WHAT)
    with transaction.atomic():
        audit.record(hand.actor, None, "credential.delete", "credential", row.pk, before=facts(row))
        row.delete()
        forget_routes()


def facts(row: ProviderCredential) -> dict[str, Any]:
    """For the log."""
    organization = row.organization.slug if row.organization is not None else None
    return {
        "provider": row.provider,
        "organization": organization,
        "api_base": row.api_base,
        "key_end": row.key_end,
        "is_active": row.is_active,
    }


def _read(row: ProviderCredential, given: Mapping[str, Any]) -> None:
    if "api_key" in given:
        key = fields.secret_of(given["api_key"])
        row.sealed_key, row.key_end = sealed.seal(key), fields.end_of(key)
    if "api_base" in given:
        row.api_base = reach.read_base(given["api_base"], field="api_base") if given["api_base"] else ""
    if given.get("is_active") is not None:
        row.is_active = fields.truth_of(given["is_active"], field="is_active")


def _organization(slug: object) -> Organization | None:
    if slug is None:
        return None
    found = Organization.objects.filter(slug=slug).first() if isinstance(slug, str) else None
    if found is None:
        raise Invalid("There is no organization of that short name.", field="organization")
    return found


def _save(row: ProviderCredential) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Invalid(
            f'There is a credential for "{row.provider}" already: change that one.', field="provider"
        ) from None
