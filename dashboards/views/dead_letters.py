"""Dead letters: what was given up after its last try, with the buttons that have it tried again or throw it away."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, may, member_team_for, seat_for
from dashboards.frame import is_fragment
from dashboards.messages import cut, written
from tracking.errors import Conflict, Invalid
from tracking.steering import dead_letters
from tracking.teams import Role

STATES = {"open": "Open", "retry_wanted": "To be tried", "retried": "Done", "discarded": "Thrown away", "all": "All"}
ROWS = 50
_ACTS = {"retry": dead_letters.retry, "discard": dead_letters.discard}


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the list alone."""
    team = seat_for(request).team
    state = request.GET.get("state", "") or "open"
    if state not in STATES:
        raise Invalid(f'"{state}" is no state; there are {", ".join(STATES)}.', field="state")
    found = dead_letters.of_team(team, status="" if state == "all" else state, limit=ROWS)
    rows = [(one, cut(written(one.payload)) if one.payload is not None else None) for one in found]
    context = {
        "team": team,
        "rows": rows,
        "state": state,
        "states": STATES,
        "may_act": may(request, Role.MEMBER),
    }
    name = "_dead_letters_list" if is_fragment(request) else "dead_letters"
    return render(request, f"dashboards/{name}.html", context)


@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """``id``, several times over; ``act``: retry or discard."""
    team = member_team_for(request)
    verb = _ACTS.get(request.POST.get("act", ""))
    try:
        if verb is None:
            raise Invalid("A dead letter is tried again or thrown away.", field="act")
        done = verb(team, [UUID(id) for id in request.POST.getlist("id")], actor=actor(request))
    except ValueError:
        messages.error(request, "That is no dead letter.")
    except (Invalid, Conflict) as error:
        messages.error(request, error.message)
    else:
        what = "1 letter" if len(done) == 1 else f"{len(done):,} letters"
        is_retry = request.POST["act"] == "retry"
        how = "to be tried again by the next process that takes letters of that name" if is_retry else "thrown away"
        messages.success(request, f"{what}: {how}.")
    return redirect("/dead-letters")
