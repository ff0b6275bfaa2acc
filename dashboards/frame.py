"""What stands round every page: where one can go, which team this is, how it is lit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.safestring import SafeString

from dashboards import access
from tracking.reports.alerts import open_alerts
from tracking.teams import Seat

THEMES = ("light", "dark")
THEME_COOKIE = "wflo_theme"  # absent: the system's
DENSITY_COOKIE = "wflo_density"


@dataclass(frozen=True, slots=True)
class Place:
    """A page in the navigation. ``key`` is the letter after ``g`` that goes there."""

    label: str
    path: str
    icon: str
    key: str
    is_first: bool = True  # also in the bottom bar of a narrow screen

    def holds(self, path: str) -> bool:
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


LOOK = (
    Place("Now", "/", "home", "h"),
    Place("Runs", "/runs", "runs", "r"),
    Place("Agents", "/agents", "agents", "a"),
    Place("Costs", "/costs", "costs", "c"),
    Place("Budgets", "/budgets", "budget", "b"),
)
ALERTS = "/alerts"
OPERATE = (
    Place("Alerts", ALERTS, "alerts", "l"),
    Place("Jobs", "/jobs", "flow", "j", is_first=False),
    Place("Loops", "/loops", "loop", "o", is_first=False),
    Place("Circuits", "/circuits", "guardrail", "u", is_first=False),
    Place("Approvals", "/approvals", "ok", "v", is_first=False),
    Place("Dead letters", "/dead-letters", "killed", "x", is_first=False),
    Place("Gateway", "/gateway", "flow", "w", is_first=False),
    Place("Prices", "/prices", "prices", "p"),
    Place("Credits", "/credits", "credits", "d", is_first=False),
    Place("Settings", "/settings", "admin", "s", is_first=False),
)


class Frame:
    """Asked by base.html; each answer is found at most once a request, and only when it is shown."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def nav(self) -> SafeString:
        found = open_alerts(self.seat.team) if self.seat is not None else None
        told = {"shown": found.shown, "burns": found.burns} if found is not None else {}
        return _drawn("dashboards/_nav.html", here=self.here, alerts=ALERTS, **told)

    @property
    def keyboard(self) -> SafeString:
        return _drawn("dashboards/_keyboard.html", is_seated=self.seat is not None)

    @property
    def palette(self) -> SafeString:
        return _drawn("dashboards/_palette.html")

    @cached_property
    def seat(self) -> Seat | None:
        """The person's seat; None on pages for nobody in particular: sign-in, errors."""
        user = getattr(self._request, "user", None)
        if user is None or not user.is_authenticated:
            return None
        try:
            return access.seat_for(self._request)
        except (PermissionDenied, Http404):  # the page itself says so; its frame has no team then
            return None

    @cached_property
    def seats(self) -> list[Seat]:
        return access.teams_of(self._request)

    @cached_property
    def here(self) -> Place | None:
        return next((place for place in (*LOOK, *OPERATE) if place.holds(self._request.path)), None)

    @property
    def elsewhere(self) -> list[Place]:
        """What the bottom bar of a narrow screen has no room for; settings stand below it."""
        return [place for place in OPERATE if not place.is_first and place.path != "/settings"]

    @property
    def theme(self) -> str:
        chosen = self._request.COOKIES.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else ""

    @property
    def is_tight(self) -> bool:
        return self._request.COOKIES.get(DENSITY_COOKIE) == "tight"

    @property
    def address(self) -> str:
        """Where agents send to, as people reach this installation."""
        return settings.WFLO_PUBLIC_URL

    @property
    def plotly(self) -> str:
        return static("plotly/plotly.min.js")


@lru_cache(maxsize=200)
def _drawn(template: str, **parts: Any) -> SafeString:
    """What is the same on every page of a place is drawn once in a process."""
    return render_to_string(template, {"look": LOOK, "operate": OPERATE, **parts})


def frame(request: HttpRequest) -> dict[str, Frame]:
    """The context processor."""
    return {"frame": Frame(request)}


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page. A restored page from the history is whole."""
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.history_restore_request and not htmx.boosted
