"""Addresses of pages. Each room of pages has its own list; this one puts them together."""

from __future__ import annotations

from django.urls import include, path

from dashboards.views import agents, alerts, costs, credits, demo, gateway, home, onboarding, palette, periods, prices

urlpatterns = [
    path("", include("dashboards.people_urls")),
    path("", include("dashboards.run_urls")),
    path("", include("dashboards.budget_urls")),
    path("", home.home, name="home"),
    path("alerts", alerts.page, name="alerts"),
    path("alerts/acknowledge", alerts.acknowledge, name="alerts_acknowledge"),
    path("alerts/resolve", alerts.resolve, name="alerts_resolve"),
    path("agents", agents.agents, name="agents"),
    path("agents/<path:name>", agents.agent, name="agent"),
    path("costs", costs.explorer, name="costs"),
    path("costs.csv", costs.csv, name="costs_csv"),
    path("credits", credits.page, name="credits"),
    path("credits/begin", credits.begin, name="credits_begin"),
    path("credits/add", credits.add, name="credits_add"),
    path("credits/change", credits.change, name="credits_change"),
    path("gateway", gateway.page, name="gateway"),
    path("gateway/blocked", gateway.blocked, name="gateway_blocked"),
    path("gateway/groups/save", gateway.save_group, name="gateway_group_save"),
    path("gateway/groups/delete", gateway.delete_group, name="gateway_group_delete"),
    path("gateway/circuits/reset", gateway.reset_circuit, name="gateway_circuit_reset"),
    path("gateway/credentials/add", gateway.add_credential, name="gateway_credential_add"),
    path("gateway/credentials/delete", gateway.delete_credential, name="gateway_credential_delete"),
    path("demo", demo.load, name="demo"),
    path("demo/state", demo.state, name="demo_state"),
    path("demo/delete", demo.delete, name="demo_delete"),
    path("palette", palette.found, name="palette"),
    path("period", periods.typed, name="period"),
    path("prices", prices.page, name="prices"),
    path("prices/set", prices.set_price, name="prices_set"),
    path("prices/reprice", prices.reprice, name="prices_reprice"),
    path("onboarding", onboarding.page, name="onboarding"),
    path("onboarding/key", onboarding.make_key, name="onboarding_key"),
    path("onboarding/state", onboarding.state, name="onboarding_state"),
]
