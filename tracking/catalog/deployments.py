"""One model at one address: what may be said of it, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import Q

from tracking import sealed
from tracking.catalog import fields
from tracking.catalog.hand import Hand
from tracking.errors import Invalid
from tracking.gateway import reach, routing
from tracking.models import Deployment, ModelGroup, ProviderCredential, Team

PRIORITY_MAX, WEIGHT_MAX, RATE_MAX, TIMEOUT_SECONDS_MAX = 1_000, 1_000, 100_000_000, 3_600
FIELDS = (
    "id", "model", "api_base", "api_key", "priority", "weight", "rpm", "tpm", "timeout_seconds", "is_active",
)  # fmt: skip
_OPERATORS = "says where a deployment is and with which key"


def put(group: ModelGroup, given: object, hand: Hand) -> None:
    """Make ``given`` the deployments of a saved group. One with the ``id`` of one that is there changes that one by the
    fields it has; the others are new, and those that are not given go. Raises Invalid, NotAllowed.
    """
    items = _items(given)
    known = {str(one.pk): one for one in group.deployments.all()}
    kept: set[str] = set()
    for place, item in enumerate(items):
        at = f"deployments.{place}."
        fields.refuse_unknown(item, FIELDS, what="A deployment", place=at)
        id = item.get("id")
        if id is not None and (str(id) not in known or str(id) in kept):
            raise Invalid("This group has no such deployment, or it is given twice.", field=f"{at}id")
        row = known[str(id)] if id is not None else Deployment(group=group)
        _read(row, item, hand, at)
        kept.add(str(row.pk))
        row.save()
    group.deployments.exclude(pk__in=kept).delete()


def facts(row: Deployment) -> dict[str, Any]:
    """For the log."""
    shown = ("model", "api_base", "key_end", "priority", "weight", "rpm", "tpm", "timeout_seconds", "is_active")
    return {name: value for name in shown if (value := getattr(row, name)) not in (None, "")}


def _items(given: object) -> list[Mapping[str, Any]]:
    most = settings.LIMITS["deployments_per_group"]
    if not isinstance(given, list) or not 0 < len(given) <= most:
        raise Invalid(f"Give a list of 1 to {most} deployments.", field="deployments")
    return [fields.mapping_of(item, field=f"deployments.{place}") for place, item in enumerate(given)]


def _read(row: Deployment, item: Mapping[str, Any], hand: Hand, at: str) -> None:
    is_new = row._state.adding
    has_own = bool(row.api_base or row.sealed_key)
    if "model" in item or is_new:
        model = fields.model_of(item.get("model"), field=f"{at}model")
        if model != row.model and has_own:
            hand.demand_operator("changes what is asked of a deployment with an address or a key of its own")
        row.model = model
    if item.get("api_base") is not None or ("api_base" in item and row.api_base):
        hand.demand_operator(_OPERATORS)
        row.api_base = reach.read_base(item["api_base"], field=f"{at}api_base") if item["api_base"] else ""
    if item.get("api_key") is not None or ("api_key" in item and row.sealed_key):
        hand.demand_operator(_OPERATORS)
        _take_key(row, item["api_key"], f"{at}api_key")
    if not row.api_base and not row.sealed_key and not hand.is_operator and ("model" in item or is_new):
        _demand_key(row, at)
    _read_numbers(row, item, at)


def _take_key(row: Deployment, value: object, field: str) -> None:
    key = fields.secret_of(value, field=field) if value else ""
    row.sealed_key, row.key_end = (sealed.seal(key), fields.end_of(key)) if key else (None, "")


def _read_numbers(row: Deployment, item: Mapping[str, Any], at: str) -> None:
    for name, least, most in (("priority", 0, PRIORITY_MAX), ("weight", 1, WEIGHT_MAX)):
        if item.get(name) is not None:
            setattr(row, name, fields.number_of(item[name], field=f"{at}{name}", least=least, most=most))
    for name, most in (("rpm", RATE_MAX), ("tpm", RATE_MAX), ("timeout_seconds", TIMEOUT_SECONDS_MAX)):
        if name in item:
            value = item[name]
            number = None if value is None else fields.number_of(value, field=f"{at}{name}", least=1, most=most)
            setattr(row, name, number)
    if item.get("is_active") is not None:
        row.is_active = fields.truth_of(item["is_active"], field=f"{at}is_active")


def _demand_key(row: Deployment, at: str) -> None:
    """Teams' admins choose among the providers that operators gave a key for."""
    provider = row.model.partition("/")[0]
    if not has_key(row.group.team, provider):
        raise Invalid(f'There is no key for "{provider}" here: an operator adds one under Gateway.', field=f"{at}model")


def has_key(team: Team | None, provider: str) -> bool:
    """Whether a deployment of the provider needs no key of its own."""
    if provider == routing.DEMO or routing.has_key_in_environment(provider):
        return True
    reaches = Q(organization=None) | Q(organization=team.organization_id if team is not None else None)
    return ProviderCredential.objects.filter(reaches, provider=provider, is_active=True).exists()
