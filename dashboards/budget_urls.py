"""Addresses of the budget pages."""

from __future__ import annotations

from django.urls import path

from dashboards.views import budget, budget_changes, budgets

urlpatterns = [
    path("budgets", budgets.page, name="budgets"),
    path("budgets/new", budgets.new, name="budget_new"),
    path("budgets/make", budgets.make, name="budget_make"),
    path("budgets/<uuid:budget_id>", budget.page, name="budget"),
    path("budgets/<uuid:budget_id>/ledger.csv", budget.ledger_csv, name="budget_ledger_csv"),
    path("budgets/<uuid:budget_id>/change", budget_changes.change, name="budget_change"),
    path("budgets/<uuid:budget_id>/raise", budget_changes.lift, name="budget_raise"),
    path("budgets/<uuid:budget_id>/raise/end", budget_changes.end_raise, name="budget_end_raise"),
    path("budgets/<uuid:budget_id>/adjust", budget_changes.adjust, name="budget_adjust"),
    path("budgets/<uuid:budget_id>/archive", budget_changes.archive, name="budget_archive"),
]
