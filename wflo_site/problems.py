"""The API answers problem JSON where Django or django-ninja would answer text: no such address, wrong method."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from wflo_site.api import problem

_WORDS = {
    400: ("invalid", "The request could not be read."),
    404: ("not_found", "There is nothing at this address. The API is described at /api/docs."),
    405: ("method_not_allowed", "This address does not take that method; the header Allow names those it takes."),
}


class ProblemJson:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        words = _WORDS.get(response.status_code)
        if words is None or not request.path.startswith("/api/") or _is_problem(response):
            return response
        answer = problem(request, response.status_code, *words)
        if "Allow" in response.headers:
            answer["Allow"] = response.headers["Allow"]
        return answer


def _is_problem(response: HttpResponse) -> bool:
    return "json" in response.headers.get("Content-Type", "")
