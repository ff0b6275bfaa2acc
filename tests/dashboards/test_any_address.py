"""Whatever stands in an address, a page answers or says what is wrong with it: never that the server failed."""

from __future__ import annotations

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.make import make_team, make_user, signed_in
from tests.told import a_store, tell_many
from tracking.models import Run

PATHS = (
    "/", "/runs", "/runs.csv", "/runs/new", "{run}", "/runs/none", "/r/0", "/agents", "/agents/planner", "/costs",
    "/costs.csv", "/prices", "/budgets", "/budgets/new", "/period", "/palette", "/compare", "/settings/audit", "/settings/keys", "/onboarding/state",
)  # fmt: skip
NAMES = (
    "from", "to", "q", "sort", "cursor", "part", "span", "tab", "column", "group_by", "measure", "agent", "model", "tool",
    "kind", "user", "key", "environment", "status", "flags", "starts", "origin", "session", "tag", "min_cost", "after",
    "find", "linked", "a", "b", "open", "row", "only", "shared", "archived", "scope", "id", "since", "split", "older", "who", "text", "next", "start", "end",
)  # fmt: skip
ODD = (
    "", "0", "-1", "1e9", "9" * 30, "NaN", "Infinity", "null", "\0", "a" * 3000, "é\u202e", "%", "'; --", "<script>",
    "now", "now-7d", "now-99999d", "now/M", "2026-11-01", "2026-11-01T00:00:00-21:49", "9999-12-31T23:59:59Z", "0001-01-01",
    "cost_usd asc", "agent,model", "agent,agent", "day", "__proto__", "older", "rows", "raw", "spans", "transcript",
    "ours-1", "ours-3", "row", "((((", "-", 'say"', "cost:>", "cost:>=0.05 has:unpriced", "agent:a OR -model:b", "id:", "id:0", "duration:>1h",
)  # fmt: skip
TARGETS = ("", "runs-list", "costs", "agents", "run-body", "run-head", "run-drawer")


@pytest.fixture
def page(transactional_db: None) -> tuple[Client, str]:
    """Somebody signed in, and the address of one of their runs."""
    team = make_team("Odd")
    with a_store() as store:
        tell_many(store, team)
    run = Run.objects.filter(team=team).earliest("started_at")
    return signed_in(make_user("Odette", team=team, role="admin")), f"/runs/{run.id}"


@given(
    path=st.sampled_from(PATHS),
    query=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(ODD) | st.text(max_size=30)), max_size=4),
    target=st.sampled_from(TARGETS),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_address_makes_the_server_fail(
    page: tuple[Client, str], path: str, query: list[tuple[str, str]], target: str
) -> None:
    client, run = page
    headers = {"HX-Request": "true", "HX-Target": target} if target else {}
    asked: dict[str, list[str]] = {}
    for name, value in query:
        asked.setdefault(name, []).append(value)
    answer = client.get(path.format(run=run), asked, headers=headers)
    assert answer.status_code < 500
