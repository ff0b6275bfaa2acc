"""Addresses of the runs list and the run page."""

from __future__ import annotations

from django.urls import path

from dashboards.views import kills, loops, run, runs

urlpatterns = [
    path("kills", kills.kill, name="kills"),
    path("loops", loops.page, name="loops"),
    path("runs", runs.run_list, name="runs"),
    path("runs/new", runs.new_runs, name="runs_new"),
    path("runs.csv", runs.export, name="runs_export"),
    path("r/<slug:beginning>", runs.short, name="run_short"),
    path("runs/<path:reference>", run.run, name="run"),
]
