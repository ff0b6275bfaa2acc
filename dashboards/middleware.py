"""What every page has in common: an id to quote, nobody unknown, and errors of the core shown as pages."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import get_resolver

from dashboards.views.errors import unavailable
from tracking.errors import Unavailable, WfloServerError

API = "/api/"  # keys, no cookies: tracking.keys.ApiKeyAuth


class RequestId:
    """``request.id``: in the answer's X-Request-Id, on error pages and in the audit log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.id = uuid.uuid4().hex  # type: ignore[attr-defined]
        response = self.get_response(request)
        response.headers["X-Request-Id"] = request.id  # type: ignore[attr-defined]
        return response


class SignedIn:
    """Sends who is not signed in to the sign-in page, but for views marked ``login_not_required`` and the API."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., object], *_: object) -> HttpResponse | None:
        if request.path.startswith(API) or not getattr(view, "login_required", True):
            return None
        if request.user.is_authenticated:
            return None
        if request.headers.get("HX-Request") == "true":
            page = urlsplit(request.headers.get("HX-Current-URL", ""))
            back = f"{page.path}?{page.query}" if page.query else page.path or "/"
            return HttpResponse(status=401, headers={"HX-Redirect": _sign_in(back)})
        return HttpResponseRedirect(_sign_in(request.get_full_path() if request.method == "GET" else "/"))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A rule of the core that a view did not answer itself becomes the page of its status."""
        if not isinstance(error, WfloServerError) or request.path.startswith(API):
            return None
        if error.status >= 500:
            return unavailable(request, error) if isinstance(error, Unavailable) else None
        shown: Exception = Http404(error.message)
        if error.status == 403:
            shown = PermissionDenied(error.message)
        elif error.status != 404:
            shown = RequestDataTooBig(error.message)
        handler = get_resolver().resolve_error_handler(error.status if error.status in (403, 404) else 400)
        return handler(request, exception=shown)  # type: ignore[call-arg]  # those of 4xx take it


def _sign_in(back: str) -> str:
    return settings.LOGIN_URL if back == "/" else f"{settings.LOGIN_URL}?{urlencode({'next': back})}"
