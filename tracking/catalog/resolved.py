"""What a name comes to for a team, in the order its deployments are tried."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F, Q

from tracking.errors import NotAllowed, NotFound
from tracking.models import ModelAlias, ModelGroup, Team
from wflo.model_names import normalise


@dataclass(frozen=True, slots=True)
class Resolved:
    """``error`` says why a team has no access."""

    group_name: str
    primary_model: str | None
    fallback_models: tuple[str, ...] = ()
    team_has_access: bool = True
    error: str = ""


def resolve(team: Team, name: str) -> Resolved:
    """Alias, then group, as calls do. A group of the installation's that was not granted is told of, without its models.

    Raises NotFound when there is no such group, NotAllowed when nothing in it is active.
    """
    aliases = ModelAlias.objects.filter(Q(team=team) | Q(team=None), name=name)
    alias = aliases.order_by(F("team").asc(nulls_last=True)).first()
    meant = name if alias is None else alias.target
    groups = ModelGroup.objects.filter(name=meant)
    group = groups.filter(team=team).first() or groups.filter(team=None, teams=team).first()
    if group is None:
        return _elsewhere(name, meant, is_alias=alias is not None)
    models = list(group.deployments.filter(is_active=True).values_list("model", flat=True)) if group.is_active else []
    if not models:
        raise NotAllowed(f'Nothing in the model group "{meant}" is active.')
    return Resolved(name, models[0], tuple(dict.fromkeys(models[1:])))


def _elsewhere(name: str, meant: str, *, is_alias: bool) -> Resolved:
    if ModelGroup.objects.filter(team=None, name=meant).exists():
        error = f'The team has no access to the model group "{meant}".'
        return Resolved(name, None, team_has_access=False, error=error)
    if is_alias:
        return Resolved(name, normalise(meant))
    raise NotFound(f'There is no model group "{name}".')
