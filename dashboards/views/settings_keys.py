"""Settings: the keys that programs call with."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.forms import KeyForm
from tracking import keys
from tracking.errors import Invalid
from tracking.models import ApiKey
from tracking.teams import Role


@require_GET
def listed(request: HttpRequest) -> HttpResponse:
    return _keys(request)


@require_POST
def make(request: HttpRequest) -> HttpResponse:
    """Shows the key once, in this very answer."""
    team = admin_team_for(request)
    form = KeyForm.of(request)
    if not form.is_valid():
        return _keys(request, form=form)
    try:
        key, text = keys.mint(
            team,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            allowed_models=form.models(),
            expires_at=form.expires_at(),
            rpm_max=form.cleaned_data["rpm_max"],
            tpm_max=form.cleaned_data["tpm_max"],
            concurrent_max=form.cleaned_data["concurrent_max"],
            actor=actor(request),
        )
    except Invalid as error:
        form.refuse(error)
        return _keys(request, form=form)
    return _keys(request, made=key, text=text)


@require_POST
def revoke(request: HttpRequest, key_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    keys.revoke(keys.key_of(team, key_id), actor=actor(request))
    return redirect("settings_keys")


@require_POST
def rotate(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """A successor, shown once; the old key goes on for a day."""
    team = admin_team_for(request)
    key, text = keys.rotate(keys.key_of(team, key_id), actor=actor(request))
    return _keys(request, made=key, text=text)


def _keys(
    request: HttpRequest, *, form: KeyForm | None = None, made: ApiKey | None = None, text: str = ""
) -> HttpResponse:
    seat = seat_for(request)
    listed = keys.keys_of(seat.team)
    context = {
        "page": "keys",
        "team": seat.team,
        "keys": [(key, keys.is_live(key)) for key in listed],
        "live_count": sum(keys.is_live(key) for key in listed),
        "form": form or KeyForm(initial={"scopes": ["ingest"]}),
        "made": made,
        "text": text,
        "can_change": may(request, Role.ADMIN),
    }
    response = render(request, "dashboards/settings_keys.html", context, status=400 if form else 200)
    response.headers["Cache-Control"] = "no-store"
    return response
