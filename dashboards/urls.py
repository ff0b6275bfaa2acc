"""Addresses of pages. Each room of pages has its own list; this one puts them together."""

from __future__ import annotations

from django.urls import include, path

from dashboards.views import palette, periods

urlpatterns = [
    path("", include("dashboards.people_urls")),
    path("palette", palette.found, name="palette"),
    path("period", periods.typed, name="period"),
]
