"""What a person goes through with agents that work for a team: in a browser, with real workers, on the demo provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from tests.browser.alerts_of import in_a_thread
from tests.browser.axe import serious
from tests.browser.site import Site
from tests.browser.watched import Watched
from tests.tracking.queue.workers import Workers
from tracking import agent_breaker
from tracking.audit import SYSTEM
from tracking.models import AgentJob, Team

LONG_MS = 30_000  # for a worker on a busy machine
LEASE_SECONDS = 4


@pytest.fixture
def page(site: Site, signed_in_as: Callable[..., BrowserContext], watched: Watched) -> Iterator[Page]:
    """Bob of Works."""
    with signed_in_as(site.works, viewport={"width": 1400, "height": 900}) as context:
        page = context.new_page()
        watched.watch(page)
        yield page


@pytest.fixture(scope="module")
def crew(site: Site, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    workers = Workers(tmp_path_factory.mktemp("crew"))
    yield workers
    in_a_thread(workers.end)


@pytest.fixture
def at_work(crew: Workers) -> Workers:
    """With a worker at least."""
    if not crew.processes:
        hire(crew)
    return crew


def hire(crew: Workers) -> None:
    in_a_thread(lambda: crew.start(limits={"job_lease_seconds": LEASE_SECONDS, "job_rest_seconds": 1}))


def define(site: Site, name: str, **fields: Any) -> str:
    body = {"name": name, "instructions": "Answer briefly.", "model": "demo/agent", **fields}
    answer = httpx.post(f"{site.url}/api/v1/agents", json=body, headers=headers_of(site), timeout=30)
    assert answer.status_code in (200, 201), answer.text
    return name


def headers_of(site: Site) -> dict[str, str]:
    return {"authorization": f"Bearer {site.works.key}"}


def start(site: Site, page: Page, agent: str, words: str, **fields: str) -> str:
    """By the form; the job's id once its page is there."""
    page.goto(f"{site.url}/jobs/new?agent={agent.replace(' ', '%20')}", wait_until="networkidle")
    page.get_by_label("What is to be done").fill(words)
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ")).fill(value)
    page.get_by_role("button", name="Start it").click()
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
    return page.url.rpartition("/")[2]


def becomes(page: Page, word: str) -> None:
    """Watched, not reloaded: the page says so by itself."""
    expect(page.locator("#job-body .runhead p")).to_contain_text(word, ignore_case=True, timeout=LONG_MS)


def job_of(site: Site, id: str) -> AgentJob:
    return in_a_thread(lambda: AgentJob.objects.get(team=Team.objects.get(slug=site.works.team), id=UUID(id)))


def cut_off_what_loops(slug: str) -> None:
    agent_breaker.set_policy(Team.objects.get(slug=slug), {"mode": "on", "needs_approval": True}, actor=SYSTEM)


def test_an_agent_is_made_works_is_rolled_back_with_another_prompt_and_compared(
    site: Site, page: Page, at_work: Workers
) -> None:
    page.goto(f"{site.url}/agents/new", wait_until="networkidle")
    page.get_by_label("Name", exact=True).fill("reckoner")
    page.get_by_label("Model, or a group of models").fill("demo/agent")
    page.get_by_role("textbox", name="Instructions").fill("Reckon and say what came out.")
    for tool in ("calculator", "clock"):
        page.get_by_role("checkbox", name=re.compile(f"^{tool}")).check()
    page.get_by_role("button", name="Make the agent").click()
    page.wait_for_url("**/agents/reckoner")
    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_label("What is to be done").fill("What is the time, and what is six times seven?")
    page.get_by_role("button", name="Start it").click()
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
    job = page.url.rpartition("/")[2]
    becomes(page, "done")
    rows = page.locator("#job-body .table tbody tr")
    assert rows.count() >= 5, "a model's answer before, between and after two tools"
    expect(page.locator("#job-body")).to_contain_text("That answers: What is the time")
    assert serious(page) == []

    page.get_by_role("link", name="Roll back to 2", exact=True).click()
    sheet = page.locator("dialog.over")
    expect(sheet.get_by_role("heading", name="Roll back to step 2")).to_be_visible()
    sheet.locator("summary").click()
    sheet.get_by_role("textbox", name="Instructions", exact=True).fill("Reckon, and answer in one word.")
    expect(sheet.locator(".diff .add")).to_contain_text("Reckon, and answer in one word.")
    sheet.get_by_role("button", name=re.compile("^Fork a new job from step 2")).click()
    page.wait_for_url(re.compile(rf"/jobs/(?!{job})[0-9a-f-]{{36}}$"))
    forked = page.url.rpartition("/")[2]
    becomes(page, "done")
    expect(page.locator("#job-body")).to_contain_text("2 reused")
    assert job_of(site, job).run == job, "the first is left as it was"

    page.goto(f"{site.url}/compare?a={job}&b={job_of(site, forked).run}", wait_until="networkidle")
    expect(page.locator(".state").first).to_contain_text("They")
    expect(page.locator("footer").filter(has_text="Both together")).to_contain_text("counted once")
    assert serious(page) == []


def test_a_looping_agent_is_noticed_stopped_and_goes_back_to_before_its_loop(
    site: Site, page: Page, at_work: Workers
) -> None:
    in_a_thread(lambda: cut_off_what_loops(site.works.team))
    limits = {"steps": 100, "tool_iterations": 50}
    define(site, "circler", model="demo/loop", tools=["clock"], limits=limits)
    job = start(site, page, "circler", "Look until the parcel is there")
    becomes(page, "failed")
    expect(page.locator("#job-body .notice").first).to_contain_text("repeats itself")
    cost = page.locator("#job-body .strip .fig").first
    expect(cost).to_contain_text("Cost")
    expect(cost.locator(".value")).to_contain_text("$")

    page.goto(f"{site.url}/alerts", wait_until="networkidle")
    expect(page.locator("main")).to_contain_text("circler")

    page.goto(f"{site.url}/jobs/{job}", wait_until="networkidle")
    page.get_by_role("link", name="Roll back to 1", exact=True).click()
    sheet = page.locator("dialog.over")
    expect(sheet.get_by_role("heading", name="Roll back to step 1")).to_be_visible()
    sheet.locator("summary").click()
    sheet.get_by_label("Model").fill("demo/agent")
    sheet.get_by_role("button", name=re.compile("^Roll back to step 1")).click()
    expect(page.locator("#job-body .notice").first).to_contain_text("is cut off", timeout=LONG_MS)
    page.goto(f"{site.url}/circuits?circuit=agent%3Acircler", wait_until="networkidle")
    page.get_by_role("button", name=re.compile("^Reset.*circler")).click()
    page.goto(f"{site.url}/jobs/{job}", wait_until="networkidle")
    becomes(page, "done")
    expect(page.locator("#job-body")).to_contain_text("Run 2")
    expect(page.locator("#compare-2")).to_be_visible()
    assert serious(page) == []


def test_a_job_whose_worker_is_killed_goes_on(site: Site, page: Page, crew: Workers) -> None:
    for process in list(crew.processes):
        crew.kill(process)
    crew.processes.clear()
    hire(crew)
    define(site, "slow talker", model="demo/slow", tools=[])
    job = start(site, page, "slow talker", "Say what you make of it")
    becomes(page, "running")
    expect(page.locator("[data-job-said]")).to_contain_text("Here is what", timeout=LONG_MS)
    for process in list(crew.processes):
        crew.kill(process)
    crew.processes.clear()
    hire(crew)
    becomes(page, "done")
    step = page.locator("#job-body .table tbody tr")
    expect(step).to_have_count(1)
    expect(step).to_contain_text("begun 2 times, may be paid twice")
    assert job_of(site, job).status == "completed"


def test_a_budget_runs_dry_is_raised_and_it_goes_on(site: Site, page: Page, at_work: Workers) -> None:
    define(site, "spender", tools=["calculator", "clock"])
    job = start(site, page, "spender", "What is the time, and what is six times seven?", Budget_in_USD="0.00001")
    becomes(page, "out of money")
    notice = page.locator("#job-body .notice").first
    expect(notice).to_contain_text("It is out of money")
    assert serious(page) == []
    page.locator("#job-budget").fill("1")
    page.get_by_role("button", name="Raise it").click()
    becomes(page, "done")
    found = job_of(site, job)
    assert found.budget_usd == Decimal(1)
    expect(page.locator("#job-body .strip")).to_contain_text("spent")
