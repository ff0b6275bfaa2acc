"""What is read from LiteLLM's map, on entries of its shape and on the installed file itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from wflo import price_map
from wflo.pricing import cost_usd
from wflo.rates import Rates
from wflo.usage import Usage


def rates(**entry: Any) -> Rates | None:
    text = json.dumps(entry)
    return price_map.rates_of(json.loads(text, parse_float=D))


@pytest.fixture(scope="module")
def listed() -> dict[str, Rates]:
    return {item.model: item.rates for item in price_map.bundled()}


def test_a_number_is_read_as_it_is_written_and_not_as_a_binary_fraction() -> None:
    found = rates(input_cost_per_token=3e-07, output_cost_per_token=1.1e-06)
    assert found == Rates(input=D("0.0000003"), output=D("0.0000011"))
    with pytest.raises(TypeError):
        price_map.rates_of({"input_cost_per_token": 3e-07})


def test_every_bucket_tier_and_service_has_its_place() -> None:
    found = rates(
        input_cost_per_token=1e-06,
        output_cost_per_token=2e-06,
        cache_read_input_token_cost=1e-07,
        cache_creation_input_token_cost=1.25e-06,
        cache_creation_input_token_cost_above_1hr=2e-06,
        output_cost_per_reasoning_token=3e-06,
        input_cost_per_audio_token=4e-06,
        output_cost_per_audio_token=5e-06,
        input_cost_per_image_token=6e-06,
        output_cost_per_image_token=7e-06,
        input_cost_per_token_above_200k_tokens=2e-06,
        cache_creation_input_token_cost_above_1hr_above_200k_tokens=4e-06,
        input_cost_per_token_batches=5e-07,
        input_cost_per_token_flex=6e-07,
        input_cost_per_token_above_200k_tokens_priority=9e-06,
        supports_vision=True,
        max_tokens=8192,
    )
    assert found is not None
    assert found.to_json() == {
        "input": "0.000001",
        "output": "0.000002",
        "cache_read": "0.0000001",
        "cache_write": "0.00000125",
        "cache_write_1h": "0.000002",
        "reasoning": "0.000003",
        "audio_in": "0.000004",
        "audio_out": "0.000005",
        "image_in": "0.000006",
        "image_out": "0.000007",
        "tiers": [{"above": 200000, "input": "0.000002", "cache_write_1h": "0.000004"}],
        "services": {
            "batch": {"input": "0.0000005"},
            "flex": {"input": "0.0000006"},
            "priority": {"tiers": [{"above": 200000, "input": "0.000009"}]},
        },
    }


@pytest.mark.parametrize(
    "entry",
    [
        {"litellm_provider": "publicai", "input_cost_per_token": 0, "output_cost_per_token": 0},
        {"litellm_provider": "fal_ai", "output_cost_per_image": 0.04},
        {"litellm_provider": "azure", "input_cost_per_pixel": 4e-08, "output_cost_per_token": 0.0},
        {"litellm_provider": "openai", "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001},
        {"litellm_provider": "openai", "mode": "chat", "max_tokens": 4096},
    ],
)
def test_an_entry_without_a_price_per_token_is_no_price(entry: dict[str, Any]) -> None:
    assert rates(**entry) is None


def test_a_model_on_ones_own_machine_is_free() -> None:
    assert rates(litellm_provider="ollama", input_cost_per_token=0.0, output_cost_per_token=0.0) == Rates(
        input=D(0), output=D(0)
    )


def test_a_side_charged_by_the_second_is_not_free_by_the_token() -> None:
    found = rates(input_cost_per_token=0.0, input_cost_per_second=0.00049, output_cost_per_token=7.5e-06)
    assert found == Rates(output=D("0.0000075"))
    assert found is not None
    assert cost_usd(Usage(input_tokens=900, output_tokens=10), found).total is None


def test_a_cache_write_that_costs_nothing_extra_is_ordinary_input() -> None:
    found = rates(input_cost_per_token=2.8e-07, output_cost_per_token=4.2e-07, cache_creation_input_token_cost=0.0)
    assert found is not None
    assert found.cache_write is None


def test_a_table_of_ranges_becomes_tiers() -> None:
    found = rates(
        tiered_pricing=[
            {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1000000.0]},
            {"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]},
        ]
    )
    assert found is not None
    assert found.in_force(input_tokens=256_000).input == D("0.00000005")
    assert found.in_force(input_tokens=256_001).cache_read == D("0.00000025")
    assert found.in_force(input_tokens=2_000_000).output == D("0.000002")


def test_a_range_without_a_cached_rate_has_not_that_of_the_range_below() -> None:
    found = rates(
        tiered_pricing=[
            {"input_cost_per_token": 2e-07, "cache_read_input_token_cost": 2e-08, "range": [0, 1000.0]},
            {"input_cost_per_token": 4e-07, "range": [1000.0, 9000.0]},
        ]
    )
    assert found is not None
    assert found.in_force(input_tokens=1_000).cache_read == D("0.00000002")
    assert found.in_force(input_tokens=1_001).cache_read == D("0.0000004")


def test_off_peak_hours_are_read_with_their_days() -> None:
    found = rates(
        input_cost_per_token=3e-07,
        output_cost_per_token=6e-07,
        off_peak_pricing={
            "input_cost_per_token": 1.5e-07,
            "windows": [{"hours_utc": ["04:00-06:00", "22:00-00:00"], "weekdays": [1, 2, 3, 4, 5]}],
            "weekday_timezone": "Asia/Shanghai",
        },
    )
    assert found is not None
    wednesday, saturday_in_shanghai = datetime(2026, 9, 2, 5, tzinfo=UTC), datetime(2026, 9, 4, 23, tzinfo=UTC)
    assert found.at(wednesday).in_force().input == D("0.00000015")
    assert found.at(saturday_in_shanghai) is found


def test_fireworks_cached_tokens_are_half_price_where_the_map_is_silent() -> None:
    found = rates(litellm_provider="fireworks_ai", mode="chat", input_cost_per_token=2e-07, output_cost_per_token=2e-07)
    assert found is not None
    assert found.cache_read == D("0.0000001")


def test_fast_mode_given_as_a_factor_becomes_rates() -> None:
    found = rates(
        input_cost_per_token=5e-06, output_cost_per_token=2.5e-05, provider_specific_entry={"fast": 2.0, "us": 1.1}
    )
    assert found is not None
    assert found.services["fast"].to_json() == {"input": "0.00001", "output": "0.00005"}


def test_the_installed_map_is_read_whole(listed: dict[str, Rates]) -> None:
    assert len(listed) > 3000
    assert all(Rates.from_json(found.to_json()) == found for found in listed.values())
    assert all(len(model) <= 300 for model in listed)


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        ("gpt-4o", Usage(input_tokens=1_000, output_tokens=100), 1_000 * D("0.0000025") + 100 * D("0.00001")),
        (
            "claude-sonnet-4-5",
            Usage(
                input_tokens=300, output_tokens=10, cached_tokens=100, cache_write_tokens=200, cache_write_1h_tokens=50
            ),
            100 * D("0.0000003") + 150 * D("0.00000375") + 50 * D("0.000006") + 10 * D("0.000015"),
        ),
        (
            "gemini/gemini-2.5-pro",
            Usage(input_tokens=250_000, output_tokens=100),
            250_000 * D("0.0000025") + 100 * D("0.000015"),
        ),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Usage(input_tokens=1_000, output_tokens=100),
            1_000 * D("0.0000033") + 100 * D("0.0000165"),
        ),
        ("azure/gpt-4o", Usage(input_tokens=1_000, output_tokens=100), 1_000 * D("0.0000025") + 100 * D("0.00001")),
        ("text-embedding-3-small", Usage(input_tokens=1_000), 1_000 * D("0.00000002")),
        (
            "gpt-4.1-mini",
            Usage(input_tokens=1_000, output_tokens=100, service_tier="batch"),
            1_000 * D("0.0000002") + 100 * D("0.0000008"),
        ),
    ],
)
def test_the_installed_map_gives_the_providers_figures(
    listed: dict[str, Rates], model: str, usage: Usage, expected: D
) -> None:
    assert cost_usd(usage, listed[model]).total == expected
