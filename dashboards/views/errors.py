"""Pages of what went wrong: what happened, why, what to do, and an id to quote. For htmx, the same as a toast."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dashboards.frame import is_fragment
from tracking.errors import TooSlow, Unavailable
from tracking.store_errors import store_trouble


@dataclass(frozen=True, slots=True)
class Problem:
    status: int
    title: str
    why: str
    next: str
    id: str
    layout: str
    retry: bool = False


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(
        request,
        400,
        "This request makes no sense here",
        _words(exception) or "A part of its address or of its form could not be read.",
        "Go back and correct it.",
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(
        request,
        403,
        "You may not do this",
        _words(exception) or "Your role in this team does not allow it.",
        "Nothing was changed.",
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form came without its token: another site sent it, or the page is older than the sign-in."""
    return _page(
        request,
        403,
        "This form has expired",
        "You signed in or out since it was opened, or it was not sent from this site.",
        "Open the page again and repeat what you did. Nothing was changed.",
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(
        request,
        404,
        "There is nothing here",
        _words(exception) or "The address is wrong, what it led to was removed, or it belongs to another team.",
        "Look for it with Ctrl K, or begin at home.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Django calls this while it handles the error. Asks neither the database nor the session: they may be what failed."""
    trouble = store_trouble(sys.exception())
    if trouble is not None:
        return unavailable(request, trouble)
    return _page(
        request,
        500,
        "Wflo could not answer",
        "Something on our side failed. It is in the server's log under the id below.",
        "Try again; spans sent meanwhile are kept by their senders.",
        retry=True,
    )


def unavailable(request: HttpRequest, error: Unavailable) -> HttpResponse:
    """The store is away, or had too much to do for one page."""
    if isinstance(error, TooSlow):
        return _page(
            request, error.status, "This took too long", error.message, "Or try again in a moment.", retry=True
        )
    return _page(request, error.status, "The store is away", error.message, "Try again in a moment.", retry=True)


def _page(request: HttpRequest, status: int, title: str, why: str, then: str, *, retry: bool = False) -> HttpResponse:
    # Who is signed in is kept in the database, which may be what failed.
    is_known = status < 500 and hasattr(request, "user") and request.user.is_authenticated
    layout = "dashboards/base.html" if is_known else "dashboards/bare.html"
    problem = Problem(status, title, why, then, getattr(request, "id", ""), layout, retry)
    template = "dashboards/_problem.html" if is_fragment(request) else "dashboards/problem.html"
    return render(request, template, {"problem": problem}, status=status)


def _words(exception: Exception | None) -> str:
    """Our own sentence, if the exception was raised with one; Django's resolver puts a dictionary there."""
    words = exception.args[0] if exception is not None and exception.args else ""
    return words if isinstance(words, str) else ""
