"""Addresses of the runs list and the run page."""

from __future__ import annotations

from django.urls import path

from dashboards.views import compare, kills, loops, rollbacks, run, runs

urlpatterns = [
    path("compare", compare.page, name="compare"),
    path("kills", kills.kill, name="kills"),
    path("loops", loops.page, name="loops"),
    path("runs", runs.run_list, name="runs"),
    path("runs/new", runs.new_runs, name="runs_new"),
    path("runs.csv", runs.export, name="runs_export"),
    path("r/<slug:beginning>", runs.short, name="run_short"),
    path("runs/<path:run>/rollback", rollbacks.sheet, name="rollback_sheet"),
    path("runs/<path:run>/rollback/go", rollbacks.go, name="rollback_go"),
    path("runs/<path:run>/rollback/difference", rollbacks.difference, name="rollback_difference"),
    path("runs/<path:run>/rollback/withdraw", rollbacks.withdraw, name="rollback_withdraw"),
    path("runs/<path:reference>", run.run, name="run"),
]
