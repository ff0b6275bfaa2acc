"""Every page there is, once: what runs over all of them (axe, CSP, hostile strings) reads this list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageOf:
    """``path`` may hold {run}, {span}, {agent}, {destination}, {budget}, {saved}, {parent}, {fork}, {refusal}, {walked}, {went_back} and {defined}. ``status`` is what a person who may see it gets."""

    name: str
    path: str
    status: int = 200


PAGES = (
    PageOf("home", "/"),
    PageOf("runs", "/runs?from=now-30d"),
    PageOf("runs searched", "/runs?from=now-30d&q=has%3Aunpriced%20-env%3Adev"),
    PageOf("runs, none left", "/runs?from=now-30d&q=agent%3Anobody"),
    PageOf("run", "/runs/{run}"),
    PageOf("run, transcript", "/runs/{run}?tab=transcript"),
    PageOf("run, spans", "/runs/{run}?tab=spans"),
    PageOf("run, ledger", "/runs/{run}?tab=ledger"),
    PageOf("run, checkpoints", "/runs/{saved}?tab=checkpoints"),
    PageOf("run, a checkpoint", "/runs/{saved}?tab=checkpoints&checkpoint=3"),
    PageOf("roll back a job", "/runs/{walked}/rollback?checkpoint=4"),
    PageOf("roll back a job, to its latest step", "/runs/{walked}/rollback"),
    PageOf("roll back another's run", "/runs/{parent}/rollback?checkpoint=1"),
    PageOf("roll back a run that was asked already", "/runs/{saved}/rollback?checkpoint=2"),
    PageOf("a job that was rolled back", "/jobs/{went_back}"),
    PageOf("run, two checkpoints", "/runs/{saved}?tab=checkpoints&checkpoint=2&against=4"),
    PageOf("run, no checkpoint", "/runs/{run}?tab=checkpoints&after=1"),
    PageOf("circuits", "/circuits"),
    PageOf("circuits, agents", "/circuits?kind=agent"),
    PageOf("a circuit", "/circuits?circuit=agent%3Awriter"),
    PageOf("a circuit nobody has", "/circuits?circuit=agent%3Anobody"),
    PageOf("compare", "/compare?a={parent}&b={fork}"),
    PageOf("compare, a step open", "/compare?a={parent}&b={fork}&shared=1&open=4"),
    PageOf("compare, a tool open", "/compare?a={parent}&b={fork}&open=2"),
    PageOf("compare, only differences", "/compare?a={run}&b={fork}&only=differences&open=1"),
    PageOf("compare, one named", "/compare?a={parent}"),
    PageOf("compare, none named", "/compare"),
    PageOf("compare, a run nobody knows", "/compare?a={parent}&b=nobody", status=404),
    PageOf("approvals", "/approvals"),
    PageOf("approvals, all", "/approvals?state=all"),
    PageOf("approvals, none left", "/approvals?state=rejected"),
    PageOf("dead letters", "/dead-letters"),
    PageOf("dead letters, none left", "/dead-letters?state=retried"),
    PageOf("run, metadata", "/runs/{run}?tab=metadata"),
    PageOf("run with a span", "/runs/{run}?span={span}"),
    PageOf("agents", "/agents?from=now-30d"),
    PageOf("agent", "/agents/{agent}?from=now-30d"),
    PageOf("a new agent", "/agents/new"),
    PageOf("an agent not at work yet", "/agents/{defined}"),
    PageOf("an agent, edited", "/agents/{defined}/edit"),
    PageOf("an agent's versions", "/agents/{defined}/versions"),
    PageOf("an agent's first version", "/agents/{defined}/versions?b=1"),
    PageOf("costs", "/costs?from=now-30d"),
    PageOf("costs by two", "/costs?from=now-30d&group_by=agent,model"),
    PageOf("prices", "/prices"),
    PageOf("prices, all", "/prices?list=all"),
    PageOf("price of a model", "/prices?model=gpt-4o"),
    PageOf("gateway", "/gateway"),
    PageOf("refused calls", "/gateway/blocked"),
    PageOf("a refused call", "/gateway/blocked?request={refusal}"),
    PageOf("a refused call nobody knows", "/gateway/blocked?request=x", status=404),
    PageOf("credits", "/credits"),
    PageOf("onboarding", "/onboarding"),
    PageOf("alerts", "/alerts"),
    PageOf("alerts, all", "/alerts?state=all"),
    PageOf("alerts, none left", "/alerts?state=all&kind=drift"),
    PageOf("loops", "/loops"),
    PageOf("loops, all", "/loops?state=all"),
    PageOf("budgets", "/budgets"),
    PageOf("archived budgets", "/budgets?archived=1"),
    PageOf("a new budget", "/budgets/new"),
    PageOf("a budget", "/budgets/{budget}"),
    PageOf("a budget, another limit", "/budgets/{budget}?limit=1&days=30&mode=strict&kind=charge"),
    PageOf("members", "/settings/members"),
    PageOf("alert settings", "/settings/alerts"),
    PageOf("a destination", "/settings/alerts/{destination}"),
    PageOf("keys", "/settings/keys"),
    PageOf("tools", "/settings/tools"),
    PageOf("limits", "/settings/limits"),
    PageOf("retention", "/settings/retention"),
    PageOf("team", "/settings/team"),
    PageOf("audit log", "/settings/audit"),
    PageOf("account", "/settings/account"),
    PageOf("nothing there", "/nothing", status=404),
    PageOf("a range that is none", "/runs?from=yesteryear", status=400),
)
