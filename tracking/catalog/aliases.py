"""Another name for a group or a model, so that what callers say can stay while what is meant changes."""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from tracking import audit
from tracking.catalog import fields
from tracking.catalog.hand import Hand, forget_routes
from tracking.errors import Invalid, NotAllowed, NotFound
from tracking.models import ModelAlias, ModelGroup, Team
from wflo.model_names import normalise


def aliases_of(team: Team | None) -> QuerySet[ModelAlias]:
    """The team's own and the installation's, by name."""
    return ModelAlias.objects.filter(Q(team=team) | Q(team=None)).order_by("name", "team")


def make_alias(team: Team | None, *, name: object, target: object, is_shared: bool = False, hand: Hand) -> ModelAlias:
    """``is_shared``: the installation's, for every team; operators only. The same name again means the new target.

    Raises Invalid naming the field, NotAllowed.
    """
    if is_shared:
        hand.demand_operator("makes an alias for every team")
    owner = None if is_shared else team
    alias = ModelAlias(team=owner, name=fields.name_of(name), target=fields.name_of(target, field="target", most=200))
    with transaction.atomic():
        _check(alias, team)
        known = ModelAlias.objects.filter(team=owner, name=alias.name).first()
        before = None if known is None else {"target": known.target}
        if known is not None:
            known.target, alias = alias.target, known
        _save(alias)
        audit.record(
            hand.actor,
            owner,
            "model_alias.set",
            "model alias",
            alias.name,
            before=before,
            after={"target": alias.target},
        )
        forget_routes()
    return alias


def delete_alias(team: Team | None, name: str, *, hand: Hand) -> None:
    """The team's alias, else the installation's. Raises NotFound, NotAllowed."""
    with transaction.atomic():
        alias = aliases_of(team).filter(name=name).order_by(F("team").asc(nulls_last=True)).first()
        if alias is None:
            raise NotFound("This team has no such alias.")
        if alias.team_id is None and not hand.is_operator:
            raise NotAllowed("This alias is the installation's: only its operators delete it.")
        audit.record(hand.actor, alias.team, "model_alias.delete", "model alias", name, before={"target": alias.target})
        alias.delete()
        forget_routes()


def _check(alias: ModelAlias, team: Team | None) -> None:
    hidden = ModelGroup.objects.filter(name=alias.name)
    if (hidden if alias.team is None else hidden.filter(team=alias.team)).exists():
        raise Invalid(f'"{alias.name}" is a model group already, which the alias would hide.', field="name")
    if alias.name == alias.target:
        raise Invalid("An alias stands for another name than its own.", field="target")
    if ModelAlias.objects.filter(Q(team=alias.team) | Q(team=None), name=alias.target).exists():
        raise Invalid(f'"{alias.target}" is an alias itself. Name what it stands for.', field="target")
    is_group = ModelGroup.objects.filter(Q(team=team) | Q(team=None), name=alias.target).exists()
    if not is_group and "/" not in normalise(alias.target):
        raise Invalid(
            f'"{alias.target}" is neither a model group nor a model with its provider, such as "openai/gpt-4o".',
            field="target",
        )


def _save(alias: ModelAlias) -> None:
    if alias._state.adding:
        most = settings.LIMITS["aliases_per_team"]
        if ModelAlias.objects.filter(team=alias.team).count() >= most:
            raise Invalid(f"There are at most {most} aliases. Delete one first.")
    try:
        with transaction.atomic():
            alias.save()
    except IntegrityError:
        raise Invalid(f'There is an alias "{alias.name}" already.', field="name") from None
