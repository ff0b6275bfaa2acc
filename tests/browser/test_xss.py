"""What agents say is text, on every page (S8 to S12): the corpus in every string that is stored executes nothing."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser import agents_of, alerts_of, budgets_of, compare_of, gateway_of, rollbacks_of, steering_of
from tests.browser.hostile import PAYLOADS
from tests.browser.pages import PAGES, PageOf
from tests.browser.site import Site, new_trace
from tests.browser.watched import Watched

_PWNED = "window.pwned === undefined"


def hostile_run(trace: str, payloads: tuple[str, ...], *, hours_ago: float) -> list[dict[str, Any]]:
    """An agent, a model call and a tool with hostile strings wherever a string can be."""
    first, second, third = (payloads * 3)[:3]
    all_of_them = "\n".join(payloads)
    start = time.time_ns() - int(hours_ago * 3_600_000_000_000)
    message = [{"role": "user", "parts": [{"type": "text", "content": all_of_them}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": all_of_them}]}]
    common = {
        "gen_ai.agent.name": first,
        "gen_ai.conversation.id": second,
        "user.id": third,
        "session.id": second,
        first[:100]: second,
        "tag.tags": [first, second],
    }
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": first,
        "gen_ai.request.model": second,
        "gen_ai.response.model": second,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.input.messages": json.dumps(message),
        "gen_ai.output.messages": json.dumps(answer),
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": all_of_them}]),
    }
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": third,
        "gen_ai.tool.call.arguments": json.dumps({first: second}),
        "gen_ai.tool.call.result": all_of_them,
    }
    resource = {"service.name": first, "deployment.environment.name": second, "service.version": third}
    spans: list[dict[str, Any]] = []
    for place, attributes in enumerate(({"gen_ai.operation.name": "invoke_agent"}, call, tool)):
        spans.append(
            {
                "trace_id": trace,
                "span_id": f"{place + 1:016x}",
                "parent_id": f"{1:016x}" if place else "",
                "name": (first, second, third)[place],
                "attributes": {**common, **attributes},
                "started_ns": start + place * 1_000_000_000,
                "ended_ns": start + 5_000_000_000,
                "error": all_of_them[:400] if place != 1 else "",
                "events": [
                    {"name": first, "time_ns": start, "attributes": {"exception.message": second, first[:50]: third}}
                ],
                "resource": resource,
                "scope": first,
            }
        )
    return spans


@pytest.fixture(scope="module")
def places(site: Site) -> dict[str, str]:
    """Twenty runs, three payloads each, and one run with all of them."""
    for place in range(0, len(PAYLOADS), 3):
        site.send(site.hostile, hostile_run(new_trace(), PAYLOADS[place : place + 3], hours_ago=place / 10 + 0.2))
    whole = new_trace()
    site.send(site.hostile, hostile_run(whole, PAYLOADS, hours_ago=0.1))
    place = {"run": whole, "span": f"{2:016x}", "agent": quote(PAYLOADS[0], safe="")}
    place |= alerts_of.in_a_thread(lambda: alerts_of.attack(site.hostile.team))
    place |= alerts_of.in_a_thread(lambda: gateway_of.attack(site.hostile.team))
    place |= alerts_of.in_a_thread(lambda: steering_of.attack(site.hostile.team))
    place |= alerts_of.in_a_thread(lambda: compare_of.attack(site.hostile.team))
    place |= alerts_of.in_a_thread(lambda: agents_of.attack(site.hostile.team))
    place |= alerts_of.in_a_thread(lambda: rollbacks_of.attack(site.hostile.team))
    return place | alerts_of.in_a_thread(lambda: budgets_of.attack(site.hostile.team))


@pytest.fixture(scope="module")
def window(site: Site, places: dict[str, str], signed_in_as: Callable[..., BrowserContext]) -> Iterator[BrowserContext]:
    with signed_in_as(site.hostile, viewport={"width": 1400, "height": 900}) as context:
        yield context


@pytest.fixture
def hostile_page(window: BrowserContext, watched: Watched) -> Iterator[Page]:
    page = window.new_page()
    watched.watch(page)
    yield page
    page.close()


@pytest.mark.parametrize("of", [of for of in PAGES if of.status == 200], ids=lambda of: of.name)
def test_hostile_strings_execute_nothing(site: Site, places: dict[str, str], hostile_page: Page, of: PageOf) -> None:
    page = hostile_page
    page.goto(site.url + of.path.format(**places), wait_until="networkidle")
    _touch(page)
    assert page.evaluate(_PWNED)
    assert page.url.startswith(site.url + of.path.split("?")[0].split("{")[0])
    assert (
        page.locator("[hx-on\\:load], [onerror], [onload], [onclick], main base, main meta, main iframe").count() == 0
    )


def test_hostile_strings_are_shown_as_they_are(site: Site, places: dict[str, str], hostile_page: Page) -> None:
    hostile_page.goto(f"{site.url}/runs/{places['run']}?tab=transcript", wait_until="networkidle")
    for payload in (PAYLOADS[0], PAYLOADS[3], PAYLOADS[34]):
        expect(hostile_page.locator("main").get_by_text(payload).first).to_be_attached()


def test_hostile_names_in_the_palette_execute_nothing(site: Site, places: dict[str, str], hostile_page: Page) -> None:
    hostile_page.goto(f"{site.url}/prices", wait_until="networkidle")
    hostile_page.keyboard.press("Control+k")
    hostile_page.keyboard.type("<")
    expect(hostile_page.locator("#palette-found [role=option]").first).to_be_visible()
    assert hostile_page.evaluate(_PWNED)


def test_hostile_words_in_addresses_execute_nothing(site: Site, hostile_page: Page, watched: Watched) -> None:
    watched.expect("status of 4")
    paths = itertools.cycle(
        ("/alerts?run={}", "/runs?q={}", "/prices?model={}", "/agents/{}", "/runs/{}", "/costs?agent={}")
    )
    for payload, path in zip(PAYLOADS, paths, strict=False):
        hostile_page.goto(site.url + path.format(quote(payload, safe="")), wait_until="domcontentloaded")
        assert hostile_page.evaluate(_PWNED)


def test_the_guards_of_htmx_hold(site: Site, hostile_page: Page) -> None:
    """S9: the guard itself, not the attribute that asks for it."""
    page = hostile_page
    page.goto(f"{site.url}/prices", wait_until="networkidle")
    assert page.evaluate("[htmx.config.allowEval, htmx.config.allowScriptTags, htmx.config.selfRequestsOnly]") == [
        False,
        False,
        True,
    ]
    page.evaluate(
        """() => {
            const box = document.createElement("div");
            box.setAttribute("hx-disable", "");
            box.innerHTML = "<div id='inert' hx-get='/onboarding' hx-trigger='load' hx-target='body'></div>";
            document.querySelector("main").append(box);
            htmx.process(box);
        }"""
    )
    page.wait_for_load_state("networkidle")
    expect(page.locator("#inert")).to_be_attached()
    assert page.title().startswith("Prices")


def _touch(page: Page) -> None:
    """What a person's pointer would set off: hover the figures and the first rows, open what is folded."""
    page.evaluate("document.querySelectorAll('main details').forEach(box => { box.open = true })")
    for place in page.locator("main [data-figure], main [data-row]").all()[:6]:
        if place.is_visible():
            place.hover(force=True)
