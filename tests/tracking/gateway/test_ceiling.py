"""What is held for a call is never less than its bill, whatever kinds of tokens it turns out to have."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.gateway import asked as asking
from tracking.gateway.asked import Asked
from tracking.gateway.ceiling import Priced, ceiling
from tracking.gateway.dialects import CHAT
from tracking.gateway.routing import Route
from tracking.keys import Caller
from wflo.rates import Rates, Tier
from wflo.usage import Usage

CALLER = Caller(team_id=1, team_slug="core")

money = st.integers(0, 5_000).map(lambda n: D(n).scaleb(-8))
maybe = st.none() | money


@st.composite
def rates(draw: st.DrawFn, *, depth: int = 0) -> Rates:
    names = (
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "reasoning",
        "audio_in",
        "audio_out",
        "image_in",
        "image_out",
    )
    own: dict[str, Any] = {name: draw(maybe) for name in names}
    tiers: tuple[Tier, ...] = ()
    services = {}
    if depth == 0:
        above = sorted(draw(st.sets(st.integers(1, 400), max_size=3)))
        tiers = tuple(Tier(above=n, rates=draw(rates(depth=1)), is_inclusive=draw(st.booleans())) for n in above)
        services = {name: draw(rates(depth=1)) for name in draw(st.sets(st.sampled_from(("flex", "priority"))))}
    return Rates(input=draw(money), output=draw(money), per_request=draw(maybe), tiers=tiers, services=services, **own)


def asked_for(words: int, *, service: str | None, kinds: set[str], most: int) -> Asked:
    """A request that says which kinds of tokens may come of it."""
    content: Any = "word " * words
    if "cache" in kinds:
        content = [{"type": "text", "text": content, "cache_control": {"type": "ephemeral"}}]
    elif "audio" in kinds:
        content = [
            {"type": "text", "text": content},
            {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        ]
    elif "image" in kinds:
        content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": most}
    if service:
        body["service_tier"] = service
    if kinds & {"audio", "image"}:
        body["modalities"] = ["text", *sorted(kinds & {"audio", "image"})]
    return asking.read(CHAT, CALLER, {}, body, orjson.dumps(body))


@settings(max_examples=400, deadline=None)
@given(data=st.data(), of=rates())
def test_a_hold_is_never_below_its_bill(data: st.DataObject, of: Rates) -> None:
    """B23, B24: one function prices both; every tier that a prompt may reach is held for."""
    kinds = data.draw(st.sampled_from((set(), {"cache"}, {"audio"}, {"image"})))
    service = data.draw(st.sampled_from((None, "flex", "priority")))
    most = data.draw(st.integers(1, 500))
    asked = asked_for(data.draw(st.integers(0, 80)), service=service, kinds=kinds, most=most)
    route = Route(id="x", provider=data.draw(st.sampled_from(("openai", "mistral"))), name="m", api_base="")
    held = ceiling(asked, route, Priced(None, of))
    tokens_in, tokens_out = data.draw(st.integers(0, held.base_tokens)), data.draw(st.integers(0, most))
    written = data.draw(st.integers(0, tokens_in)) if "cache" in kinds else 0
    usage = Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=data.draw(st.integers(0, tokens_in - written)),
        cache_write_tokens=written,
        cache_write_1h_tokens=data.draw(st.integers(0, written)),
        reasoning_tokens=data.draw(st.integers(0, tokens_out)),
        audio_input_tokens=data.draw(st.integers(0, tokens_in)) if "audio" in kinds else None,
        audio_output_tokens=data.draw(st.integers(0, tokens_out)) if "audio" in kinds else None,
        service_tier=service,
    )
    bill = Priced(None, of).cost(usage).total
    assert bill is not None
    assert held.base_usd is not None
    assert held.output_usd is not None
    assert held.base_usd + held.output_usd * most >= bill


def test_a_prompt_that_reaches_a_dearer_tier_is_held_for_at_it() -> None:
    """B23"""
    of = Rates(input=D(1), output=D(2), tiers=(Tier(above=50, rates=Rates(input=D(3), output=D(5))),))
    route = Route(id="x", provider="mistral", name="m", api_base="")
    short = ceiling(asked_for(1, service=None, kinds=set(), most=10), route, Priced(None, of))
    long = ceiling(asked_for(80, service=None, kinds=set(), most=10), route, Priced(None, of))
    assert short.base_usd == short.base_tokens * D(1)
    assert (long.base_usd, long.output_usd) == (long.base_tokens * D(3), D(5))
