"""The site, and a page that fails."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from wflo_site.urls import handler400, handler403, handler404, handler500
from wflo_site.urls import urlpatterns as real

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("secret detail")


urlpatterns = [path("broken", broken), *real]
