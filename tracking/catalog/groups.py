"""Model groups: a name callers use, and the deployments behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from tracking import audit
from tracking.catalog import deployments, fields
from tracking.catalog.hand import Hand, forget_routes
from tracking.errors import Invalid, NotAllowed, NotFound
from tracking.models import ModelAlias, ModelGroup, Team

CACHE_SECONDS_MAX = 30 * 86_400
FIELDS = (
    "name", "display_name", "description", "deployments", "cache", "fallback_on_auth", "is_active", "teams",
)  # fmt: skip


def groups_of(team: Team) -> QuerySet[ModelGroup]:
    """The team's own groups and those of the installation that it was granted, by name."""
    rows = ModelGroup.objects.filter(Q(team=team) | Q(team=None, teams=team)).distinct()
    return rows.prefetch_related("deployments", "teams").order_by("name", "team")


def group_of(team: Team, name: str, *, hand: Hand | None = None) -> ModelGroup:
    """The team's group of that name, else the installation's: one that it was granted, or any for an operator.

    Raises NotFound, for another team's group too.
    """
    mine = Q(team=team) | (Q(team=None) if hand is not None and hand.is_operator else Q(team=None, teams=team))
    found = ModelGroup.objects.filter(mine, name=name).prefetch_related("deployments", "teams").distinct()
    group = found.order_by(F("team").asc(nulls_last=True)).first()
    if group is None:
        raise NotFound("This team has no such model group.")
    return group


def make_group(team: Team | None, given: Mapping[str, Any], *, hand: Hand) -> ModelGroup:
    """A new group of the team's; with ``teams`` (operators only) the installation's, for those teams.

    ``given``: the fields of FIELDS. Raises Invalid naming the field, NotAllowed.
    """
    fields.refuse_unknown(given, FIELDS, what="A model group")
    group = ModelGroup(team=team, name=fields.name_of(given.get("name")))
    if given.get("teams") is not None:
        hand.demand_operator("shares a model group among teams")
        group.team = None
    elif team is None:
        raise Invalid("Give the teams that a group of the installation's is for.", field="teams")
    with transaction.atomic():
        _make_room(group)
        _refuse_alias(group)
        _read(group, given)
        _save(group)
        deployments.put(group, given.get("deployments"), hand)
        _share(group, given, hand)
        audit.record(hand.actor, group.team, "model_group.make", "model group", group.name, after=facts(group))
        forget_routes()
    return ModelGroup.objects.prefetch_related("deployments", "teams").get(pk=group.pk)


def change_group(group: ModelGroup, given: Mapping[str, Any], *, hand: Hand) -> ModelGroup:
    """Change what is given of a group. Raises Invalid naming the field, NotAllowed, NotFound."""
    fields.refuse_unknown(given, FIELDS, what="A model group")
    with transaction.atomic():
        row = _locked(group, hand)
        before, name = facts(row), row.name
        if given.get("name") is not None:
            row.name = fields.name_of(given["name"])
            _refuse_alias(row)
        _read(row, given)
        _save(row)
        if given.get("deployments") is not None:
            deployments.put(row, given["deployments"], hand)
        _share(row, given, hand)
        after = facts(row)
        if after != before:
            audit.record(hand.actor, row.team, "model_group.change", "model group", name, before=before, after=after)
        forget_routes()
    return ModelGroup.objects.prefetch_related("deployments", "teams").get(pk=row.pk)


def delete_group(group: ModelGroup, *, hand: Hand) -> None:
    """Raises NotAllowed for a group of the installation's, unless an operator deletes it."""
    with transaction.atomic():
        row = _locked(group, hand)
        audit.record(hand.actor, row.team, "model_group.delete", "model group", row.name, before=facts(row))
        row.delete()
        forget_routes()


def facts(group: ModelGroup) -> dict[str, Any]:
    """For the log."""
    rows = group.deployments.order_by("priority", "created_at", "pk")
    return {
        "name": group.name,
        "display_name": group.display_name,
        "description": group.description,
        "cache_seconds": group.cache_seconds,
        "fallback_on_auth": group.fallback_on_auth,
        "is_active": group.is_active,
        "deployments": [deployments.facts(row) for row in rows],
        **({"teams": sorted(group.teams.values_list("slug", flat=True))} if group.team_id is None else {}),
    }


def _locked(group: ModelGroup, hand: Hand) -> ModelGroup:
    if group.team_id is None and not hand.is_operator:
        raise NotAllowed("This model group is the installation's: only its operators change it.")
    row = ModelGroup.objects.select_for_update(of=("self",)).select_related("team").filter(pk=group.pk).first()
    if row is None:
        raise NotFound("This team has no such model group.")
    return row


def _make_room(group: ModelGroup) -> None:
    most = settings.LIMITS["groups_per_team"]
    if group.team is not None:  # two at once must not pass the limit
        Team.objects.select_for_update(no_key=True).get(pk=group.team.pk)
    if ModelGroup.objects.filter(team=group.team).count() >= most:
        raise Invalid(f"There are at most {most} model groups. Delete one first.")


def _refuse_alias(group: ModelGroup) -> None:
    """An alias is looked for first, so a group of its name would never be found."""
    if ModelAlias.objects.filter(Q(team=group.team) | Q(team=None), name=group.name).exists():
        raise Invalid(f'"{group.name}" is an alias already. Delete it, or give another name.', field="name")


def _read(group: ModelGroup, given: Mapping[str, Any]) -> None:
    if "display_name" in given:
        group.display_name = fields.words_of(given["display_name"], field="display_name", most=120, is_one_line=True)
    if "description" in given:
        most = fields.DESCRIPTION_CHARS_MAX
        group.description = fields.words_of(given["description"], field="description", most=most, is_one_line=False)
    if "cache" in given:
        cache = fields.mapping_of(given["cache"] or {"ttl": 0}, field="cache")
        fields.refuse_unknown(cache, ("ttl",), what="The cache", place="cache.")
        ttl = cache.get("ttl")
        group.cache_seconds = fields.number_of(
            0 if ttl is None else ttl, field="cache.ttl", least=0, most=CACHE_SECONDS_MAX
        )
    for name in ("fallback_on_auth", "is_active"):
        if given.get(name) is not None:
            setattr(group, name, fields.truth_of(given[name], field=name))


def _save(group: ModelGroup) -> None:
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError:
        raise Invalid(f'There is a model group "{group.name}" already.', field="name") from None


def _share(group: ModelGroup, given: Mapping[str, Any], hand: Hand) -> None:
    slugs = given.get("teams")
    if slugs is None:
        return
    hand.demand_operator("shares a model group among teams")
    if group.team_id is not None:
        raise Invalid("This group is one team's own. Make another to share.", field="teams")
    most = settings.LIMITS["teams_listed"]
    if not isinstance(slugs, list) or len(slugs) > most or not all(isinstance(slug, str) for slug in slugs):
        raise Invalid(f"Give a list of at most {most} teams by their short names.", field="teams")
    found = list(Team.objects.filter(slug__in=slugs))
    missing = sorted(set(slugs) - {team.slug for team in found})
    if missing:
        raise Invalid(f'There is no team "{missing[0]}".', field="teams")
    group.teams.set(found)
