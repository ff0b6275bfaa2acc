"""Hand-computed bills. USD per million tokens in the tables, so that a figure can be held against a price page."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, time
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflo.pricing import COST_MAX_USD, TOKENS_MAX, Cost, CostStatus, cost_usd
from wflo.rates import BUCKETS, OffPeak, Rates, Tier, Window
from wflo.usage import Usage


def per_million(*, tiers: tuple[Tier, ...] = (), services: dict[str, Rates] | None = None, **usd: str) -> Rates:
    buckets: dict[str, Any] = {name: D(figure) / 1_000_000 for name, figure in usd.items()}
    return Rates(**buckets, tiers=tiers, services=services or {})


GPT_4O = per_million(input="2.50", output="10", cache_read="1.25")
GPT_4O_AUDIO = per_million(input="2.50", output="10", audio_in="40", audio_out="80")
GPT_5_MINI = per_million(
    input="0.25",
    output="2",
    cache_read="0.025",
    services={
        "flex": per_million(input="0.125", output="1", cache_read="0.0125"),
        "priority": per_million(input="0.45", output="3.60", cache_read="0.045"),
        "batch": per_million(input="0.125", output="1"),
    },
)
SONNET = per_million(input="3", output="15", cache_read="0.30", cache_write="3.75", cache_write_1h="6")
GEMINI_PRO = per_million(
    input="1.25",
    output="10",
    cache_read="0.125",
    tiers=(Tier(above=200_000, rates=per_million(input="2.50", output="15", cache_read="0.25")),),
    services={"batch": per_million(input="0.625", output="5")},
)
DEEPSEEK = per_million(input="0.28", output="0.42", cache_read="0.028")
EMBEDDING = per_million(input="0.02", output="0")
GPT_IMAGE = per_million(input="5", cache_read="1.25", image_in="10", image_out="40")
RERANK = Rates(input=D(0), output=D(0), per_request=D("0.002"))


@pytest.mark.parametrize(
    ("rates", "usage", "expected"),
    [
        pytest.param(
            GPT_4O,
            Usage(input_tokens=1_000, output_tokens=500),
            D("0.0025") + D("0.005"),
            id="OpenAI chat: 1000 x 2.50/M + 500 x 10/M",
        ),
        pytest.param(
            GPT_4O,
            Usage(input_tokens=2_006, output_tokens=300, cached_tokens=1_920),
            86 * D("0.0000025") + 1_920 * D("0.00000125") + 300 * D("0.00001"),
            id="OpenAI cached: the cached part is charged once, at its own rate",
        ),
        pytest.param(
            GPT_5_MINI,
            Usage(input_tokens=100, output_tokens=1_000, reasoning_tokens=832),
            100 * D("0.00000025") + 1_000 * D("0.000002"),
            id="OpenAI reasoning: inside output, at the output rate",
        ),
        pytest.param(
            GPT_4O_AUDIO,
            Usage(input_tokens=120, output_tokens=90, audio_input_tokens=100, audio_output_tokens=60),
            20 * D("0.0000025") + 100 * D("0.00004") + 30 * D("0.00001") + 60 * D("0.00008"),
            id="OpenAI audio both ways",
        ),
        pytest.param(
            SONNET,
            Usage(
                input_tokens=10_050,
                output_tokens=400,
                cached_tokens=8_000,
                cache_write_tokens=2_000,
                cache_write_1h_tokens=500,
            ),
            50 * D("0.000003")
            + 8_000 * D("0.0000003")
            + 1_500 * D("0.00000375")
            + 500 * D("0.000006")
            + 400 * D("0.000015"),
            id="Anthropic: read, written for 5 minutes, written for an hour",
        ),
        pytest.param(
            GEMINI_PRO,
            Usage(input_tokens=200_000, output_tokens=1_000),
            200_000 * D("0.00000125") + 1_000 * D("0.00001"),
            id="Gemini at 200k: the lower tier still",
        ),
        pytest.param(
            GEMINI_PRO,
            Usage(input_tokens=200_001, output_tokens=1_000, cached_tokens=50_000, reasoning_tokens=600),
            150_001 * D("0.0000025") + 50_000 * D("0.00000025") + 1_000 * D("0.000015"),
            id="Gemini above 200k: every token at the tier, thinking as output",
        ),
        pytest.param(
            GEMINI_PRO,
            Usage(input_tokens=300_000, output_tokens=1_000, service_tier="batch"),
            300_000 * D("0.00000125") + 1_000 * D("0.0000075"),
            id="Gemini batch above 200k: half of the tier, as batch is half below it",
        ),
        pytest.param(
            DEEPSEEK,
            Usage(input_tokens=1_000, output_tokens=200, cached_tokens=896),
            104 * D("0.00000028") + 896 * D("0.000000028") + 200 * D("0.00000042"),
            id="DeepSeek cache hit and miss",
        ),
        pytest.param(
            EMBEDDING, Usage(input_tokens=8_192), 8_192 * D("0.00000002"), id="Embedding: no output is no mystery"
        ),
        pytest.param(
            GPT_IMAGE,
            Usage(input_tokens=550, output_tokens=4_160, image_input_tokens=500),
            50 * D("0.000005") + 500 * D("0.00001") + 4_160 * D("0.00004"),
            id="Image model: image input, and output that is all image",
        ),
        pytest.param(
            GPT_5_MINI,
            Usage(input_tokens=1_000, output_tokens=100, cached_tokens=600, service_tier="flex"),
            400 * D("0.000000125") + 600 * D("0.0000000125") + 100 * D("0.000001"),
            id="Flex",
        ),
        pytest.param(
            GPT_5_MINI,
            Usage(input_tokens=1_000, output_tokens=100, service_tier="priority"),
            1_000 * D("0.00000045") + 100 * D("0.0000036"),
            id="Priority",
        ),
        pytest.param(
            GPT_5_MINI,
            Usage(input_tokens=1_000, output_tokens=100, cached_tokens=600, service_tier="batch"),
            400 * D("0.000000125") + 600 * D("0.000000025") + 100 * D("0.000001"),
            id="Batch without a cached rate: the standard cached rate",
        ),
        pytest.param(RERANK, Usage(), D("0.002"), id="Rerank: by request, tokens free and unknown"),
    ],
)
def test_each_provider_is_billed_as_its_price_page_says(rates: Rates, usage: Usage, expected: D) -> None:
    cost = cost_usd(usage, rates)
    assert cost.total == expected
    assert cost.status is CostStatus.KNOWN
    assert sum(line.usd for line in cost.lines) == expected


@pytest.mark.parametrize("tier", ["default", "standard", "auto", "on_demand", "STANDARD", None])
def test_standard_service_is_the_standard_price(tier: str | None) -> None:
    cost = cost_usd(Usage(input_tokens=1_000, output_tokens=0, service_tier=tier), GPT_5_MINI)
    assert (cost.total, cost.status) == (D("0.00025"), CostStatus.KNOWN)


def test_the_bill_names_each_bucket_with_tokens_and_rate() -> None:
    cost = cost_usd(Usage(input_tokens=1_200, output_tokens=300, cached_tokens=200, reasoning_tokens=100), GPT_4O)
    assert [(line.bucket, line.tokens, line.usd_per_token) for line in cost.lines] == [
        ("input", 1_000, D("0.0000025")),
        ("cache_read", 200, D("0.00000125")),
        ("output", 200, D("0.00001")),
        ("reasoning", 100, D("0.00001")),
    ]


@pytest.mark.parametrize(
    ("rates", "usage", "why"),
    [
        (GPT_4O, Usage(), "input tokens unknown"),
        (GPT_4O, Usage(output_tokens=5), "input tokens unknown"),
        (GPT_4O, Usage(input_tokens=5), "output tokens unknown"),
        (GPT_4O, Usage(input_tokens=-1, output_tokens=5), "negative token count"),
        (GPT_4O, Usage(input_tokens=TOKENS_MAX + 1, output_tokens=5), "more tokens than any call can have"),
        (Rates(), Usage(input_tokens=5, output_tokens=5), "no rates"),
        (per_million(input="1"), Usage(input_tokens=5, output_tokens=5), "no rate for output"),
        (
            Rates(input=COST_MAX_USD, output=D(0)),
            Usage(input_tokens=1, output_tokens=0),
            "more money than can be stored",
        ),
    ],
)
def test_what_cannot_be_known_is_unknown_and_not_zero(rates: Rates, usage: Usage, why: str) -> None:
    assert cost_usd(usage, rates) == Cost(None, (), (why,))
    assert cost_usd(usage, rates).status is CostStatus.UNKNOWN


def test_a_declared_zero_is_free_even_without_counts() -> None:
    free = per_million(input="0", output="0")
    assert cost_usd(Usage(), free) == Cost(D(0))
    assert cost_usd(Usage(input_tokens=10, output_tokens=5), free).total == 0


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (Usage(input_tokens=100, output_tokens=0, cached_tokens=150), 100 * D("0.0000003")),
        (
            Usage(input_tokens=100, output_tokens=0, cached_tokens=80, cache_write_tokens=40),
            80 * D("0.0000003") + 20 * D("0.00000375"),
        ),
        (Usage(input_tokens=0, output_tokens=10, reasoning_tokens=25), 10 * D("0.000015")),
        (Usage(input_tokens=100, output_tokens=0, cached_tokens=-5), 100 * D("0.000003")),
    ],
)
def test_a_part_larger_than_its_whole_is_cut_to_it_and_said(usage: Usage, total: D) -> None:
    cost = cost_usd(usage, SONNET)
    assert cost.total == total
    assert cost.status is CostStatus.ESTIMATED
    assert len(cost.notes) == 1


def test_audio_that_was_cached_is_cached() -> None:
    cost = cost_usd(Usage(input_tokens=100, output_tokens=0, cached_tokens=90, audio_input_tokens=50), GPT_4O)
    assert [(line.bucket, line.tokens) for line in cost.lines] == [("cache_read", 90), ("audio_in", 10)]
    assert cost.status is CostStatus.KNOWN


def test_a_service_tier_without_rates_is_estimated_at_the_standard_ones() -> None:
    cost = cost_usd(Usage(input_tokens=1_000, output_tokens=0, service_tier="scale"), GPT_5_MINI)
    assert cost.total == D("0.00025")
    assert cost.status is CostStatus.ESTIMATED
    assert "scale" in cost.notes[0]


def test_fast_is_priority_unless_the_model_names_its_own() -> None:
    fast = replace(GPT_5_MINI, services={**GPT_5_MINI.services, "fast": per_million(input="1", output="1")})
    usage = Usage(input_tokens=1_000_000, output_tokens=0, service_tier="fast")
    assert cost_usd(usage, GPT_5_MINI).total == D("0.45")
    assert cost_usd(usage, fast).total == D("1")


def test_several_calls_in_one_figure_meet_no_long_context_tier() -> None:
    usage = Usage(input_tokens=400_000, output_tokens=0)
    cost = cost_usd(usage, GEMINI_PRO, is_sum=True)
    assert cost.total == 400_000 * D("0.00000125")
    assert cost.status is CostStatus.ESTIMATED
    assert cost_usd(replace(usage, input_tokens=4_000), GEMINI_PRO, is_sum=True).status is CostStatus.KNOWN


def test_rates_that_are_not_declared_follow_their_rule() -> None:
    filled = per_million(input="4", output="8").in_force()
    assert {name: getattr(filled, name) for name in BUCKETS} == {
        **dict.fromkeys(
            ("input", "cache_read", "cache_write", "cache_write_1h", "audio_in", "image_in"), D("0.000004")
        ),
        **dict.fromkeys(("output", "reasoning", "audio_out", "image_out"), D("0.000008")),
        "per_request": None,
    }
    assert per_million(input="4", cache_write="5").in_force().cache_write_1h == D("0.000005")
    assert per_million(input="4", cache_read="0").in_force().cache_read == 0


def test_new_output_rates_take_reasoning_along_unless_it_has_its_own() -> None:
    base = per_million(input="1", output="2", reasoning="3")
    follows = Tier(above=100, rates=per_million(output="4"))
    own = Tier(above=200, rates=per_million(output="4", reasoning="6"))
    rates = replace(base, tiers=(follows, own))
    assert [rates.in_force(input_tokens=n).reasoning for n in (100, 200, 201)] == [
        D("0.000003"),
        D("0.000004"),
        D("0.000006"),
    ]


def test_cached_tokens_of_a_cheap_service_tier_are_not_dearer_than_its_input() -> None:
    rates = per_million(input="1", output="2", cache_read="0.5", services={"batch": per_million(input="0.25")})
    assert rates.in_force("batch").cache_read == D("0.00000025")


def test_an_hour_long_write_moves_with_the_cache_write() -> None:
    batch = replace(SONNET, services={"batch": per_million(input="1.5", output="7.5", cache_write="1.875")})
    assert batch.in_force("batch").cache_write_1h == D("0.000003")


def test_a_tier_may_begin_at_its_threshold() -> None:
    rates = per_million(
        input="1", output="1", tiers=(Tier(above=1_000, rates=per_million(input="2"), is_inclusive=True),)
    )
    assert rates.in_force(input_tokens=999).input == D("0.000001")
    assert rates.in_force(input_tokens=1_000).input == D("0.000002")


@pytest.mark.parametrize(
    ("moment", "usd"),
    [
        (datetime(2026, 9, 2, 3, 59, tzinfo=UTC), "1"),  # a Wednesday
        (datetime(2026, 9, 2, 4, 0, tzinfo=UTC), "0.5"),
        (datetime(2026, 9, 2, 6, 0, tzinfo=UTC), "1"),
        (datetime(2026, 9, 2, 23, 30, tzinfo=UTC), "0.5"),
        (datetime(2026, 9, 5, 12, 0, tzinfo=UTC), "0.5"),  # a Saturday
    ],
)
def test_off_peak_hours_have_their_own_rates(moment: datetime, usd: str) -> None:
    weekdays = frozenset({1, 2, 3, 4, 5})
    windows = (
        Window(begins=time(4), ends=time(6), days=weekdays),
        Window(begins=time(22), ends=time(0), days=weekdays),
        Window(begins=time(0), ends=time(0), days=frozenset({6, 7})),
    )
    rates = replace(
        per_million(input="1", output="2"), off_peak=OffPeak(rates=per_million(input="0.5"), windows=windows)
    )
    assert rates.at(moment).in_force().input == D(usd) / 1_000_000
    assert rates.at(moment).in_force().output == D("0.000002")
    assert Rates.from_json(rates.to_json()) == rates


def test_rates_survive_being_kept_as_json() -> None:
    for rates in (GPT_5_MINI, SONNET, GEMINI_PRO, GPT_IMAGE, RERANK, Rates()):
        assert Rates.from_json(rates.to_json()) == rates
    assert GPT_4O.to_json() == {"input": "0.0000025", "output": "0.00001", "cache_read": "0.00000125"}


# --- properties -------------------------------------------------------------------------------------------------------

COUNTS = [f.name for f in fields(Usage) if f.name != "service_tier"]
tokens = st.none() | st.integers(min_value=-3, max_value=2_000_000)
usages = st.builds(Usage, **dict.fromkeys(COUNTS, tokens), service_tier=st.sampled_from([None, "flex", "batch", "odd"]))
a_rate = st.none() | st.decimals(min_value=0, max_value=1, places=12)
partial = st.builds(Rates, **dict.fromkeys(BUCKETS, a_rate))
tiered = st.builds(
    lambda base, tier, service: replace(base, tiers=(Tier(above=1_000, rates=tier),), services={"flex": service}),
    partial,
    partial,
    partial,
)


@given(usages, tiered)
def test_no_usage_breaks_the_arithmetic_and_lines_add_up_to_the_last_digit(usage: Usage, rates: Rates) -> None:
    cost = cost_usd(usage, rates)
    if cost.total is None:
        assert cost.notes
        assert cost.lines == ()
        return
    assert cost.total >= 0
    assert cost.total == cost.total.quantize(D("1e-10"))
    assert all(line.usd >= 0 and line.tokens > 0 for line in cost.lines)
    assert sum((line.usd for line in cost.lines), D(0)) == cost.total
    counted = sum(line.tokens for line in cost.lines if line.bucket != "per_request")
    assert counted == (usage.input_tokens or 0) + (usage.output_tokens or 0)


full_rates = st.builds(Rates, **{name: st.decimals(min_value=0, max_value=1, places=12) for name in BUCKETS})
whole = st.builds(
    Usage,
    **{name: st.integers(min_value=0, max_value=100_000) for name in COUNTS},
)


@given(whole, full_rates, st.sampled_from(["input_tokens", "output_tokens"]), st.integers(min_value=1, max_value=1_000))
def test_more_tokens_never_cost_less(usage: Usage, rates: Rates, side: str, more: int) -> None:
    before, after = cost_usd(usage, rates), cost_usd(replace(usage, **{side: getattr(usage, side) + more}), rates)
    assert before.total is not None
    assert after.total is not None
    assert after.total >= before.total
