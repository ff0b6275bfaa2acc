from __future__ import annotations

import pytest

from wflo.model_names import NAME_LENGTH_MAX, normalise, price_keys, provider_prefix


@pytest.mark.parametrize(
    ("written", "routed"),
    [
        ("openai:gpt-4o-mini", "openai/gpt-4o-mini"),
        ("google-vertex:gemini-2.5-pro", "vertex_ai/gemini-2.5-pro"),
        ("ollama:llama2:13b", "ollama/llama2:13b"),
        ("claude-3-opus-20240229", "anthropic/claude-3-opus-20240229"),
        ("claude-3-haiku", "anthropic/claude-3-haiku"),
        ("gemini-1.5-pro", "gemini/gemini-1.5-pro"),
        ("gpt-4-0125-preview", "openai/gpt-4-0125-preview"),
        ("gpt-3.5-turbo", "openai/gpt-3.5-turbo"),
        ("o1", "openai/o1"),
        ("o3-mini", "openai/o3-mini"),
        ("o4-mini-2025-04-16", "openai/o4-mini-2025-04-16"),
        ("chatgpt-4o-latest", "openai/chatgpt-4o-latest"),
        ("grok-4", "xai/grok-4"),
        ("mistral-large-latest", "mistral/mistral-large-latest"),
        ("codestral-2501", "mistral/codestral-2501"),
        ("command-r-plus", "cohere/command-r-plus"),
        (" GPT-4o ", "openai/GPT-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("meta-llama/Llama-3.3-70B", "meta-llama/Llama-3.3-70B"),
        ("o1x-of-our-own", "o1x-of-our-own"),
        ("llama3.2", "llama3.2"),
        ("llama2:13b", "llama2:13b"),
        ("", ""),
    ],
)
def test_a_name_is_routed_to_its_provider(written: str, routed: str) -> None:
    assert normalise(written) == routed
    assert normalise(routed) == routed


def test_gemini_goes_through_vertex_where_only_vertex_is_set_up() -> None:
    assert normalise("gemini-pro", is_vertex_only=True) == "vertex_ai/gemini-pro"
    assert normalise("gpt-4o", is_vertex_only=True) == "openai/gpt-4o"


@pytest.mark.parametrize(
    ("spelling", "prefix"),
    [
        ("openai", "openai"),
        ("OpenAI", "openai"),
        ("openai.responses", "openai"),
        ("azure.ai.openai", "azure"),
        ("az.ai.inference", "azure_ai"),
        ("aws.bedrock", "bedrock"),
        ("gcp.vertex_ai", "vertex_ai"),
        ("google.generative-ai", "gemini"),
        ("google.vertex.chat", "vertex_ai"),
        ("google_genai", "gemini"),
        ("mistralai", "mistral"),
        ("x_ai", "xai"),
        ("anthropic.messages", "anthropic"),
        ("Our Own", "our_own"),
        ("", None),
        (None, None),
    ],
)
def test_a_provider_has_one_word_however_it_is_spelled(spelling: str | None, prefix: str | None) -> None:
    assert provider_prefix(spelling) == prefix


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("gpt-4.1-mini-2026-03-01", "openai", "gpt-4.1-mini"),
        ("claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "gcp.vertex_ai", "vertex_ai/claude-sonnet-4-5"),
        ("claude-3-7-sonnet-latest", "anthropic", "claude-3-7-sonnet"),
        ("anthropic/claude-sonnet-4.5", "openrouter", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("ca.anthropic.claude-sonnet-4-5-20250929-v1:0", None, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0",
            "bedrock",
            "us.amazon.nova-pro-v1:0",
        ),
        ("gpt-4o", "azure", "azure/gpt-4o"),
        ("gpt-4o-2024-08-06", "azure.ai.openai", "azure/gpt-4o-2024-08-06"),
        ("openai/gpt-oss-120b", "groq", "groq/openai/gpt-oss-120b"),
        ("models/gemini-2.5-flash", "gcp.gemini", "gemini/gemini-2.5-flash"),
        ("projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "vertexai", "vertex_ai/gemini-2.5-pro"),
        ("accounts/fireworks/models/kimi-k2", None, "fireworks_ai/accounts/fireworks/models/kimi-k2"),
        ("ft:gpt-4o-mini-2024-07-18:acme::b1", "openai", "ft:gpt-4o-mini-2024-07-18"),
        ("agent", "demo", "demo/agent"),
        ("grok-4", None, "xai/grok-4"),
        ("GPT-4O", None, "gpt-4o"),
    ],
)
def test_a_price_is_looked_for_under_the_names_lists_use(model: str, provider: str | None, expected: str) -> None:
    assert expected in price_keys(model, provider)


@pytest.mark.parametrize(
    ("model", "provider", "never"),
    [
        ("gpt-4.1-mini-fail429", "openai", "gpt-4.1-mini"),
        ("gpt-4-0613", "openai", "gpt-4"),  # other snapshots had other prices
        ("gpt-4o-2024-99-99", "openai", "gpt-4o"),
        ("gpt-4o-mini-preview", "openai", "gpt-4o-mini"),
        ("mistral-large-2411", "mistral", "mistral-large"),
        ("llama-3.3-70b:free", "openrouter", "llama-3.3-70b"),
        ("gpt-4o-of-my-own", "azure", "gpt-4o"),
        ("deepseek-chat", "azure.ai.inference", "deepseek-chat"),  # Azure has its own price for what others made
        ("deepseek-chat", "deepinfra", "deepseek-chat"),
        ("llama3.2", "ollama", "llama3.2"),
        ("agent", "demo", "agent"),
        ("openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
    ],
)
def test_a_price_is_never_that_of_another_model_or_seller(model: str, provider: str | None, never: str) -> None:
    assert never not in price_keys(model, provider)


def test_the_most_exact_name_comes_first() -> None:
    keys = price_keys("gpt-4o-2024-08-06", "azure")
    assert keys[0] == "azure/gpt-4o-2024-08-06"
    assert keys.index("gpt-4o-2024-08-06") < keys.index("azure/gpt-4o")


def test_a_price_a_person_set_under_the_bare_name_counts_whoever_serves_the_model() -> None:
    assert "llama3.2" in price_keys("llama3.2", "ollama", is_published=False)
    assert "deepseek-chat" in price_keys("deepseek-chat", "deepinfra", is_published=False)
    assert "openai/gpt-oss-120b" in price_keys("openai/gpt-oss-120b", "groq", is_published=False)
    assert "openai:gpt-4o" in price_keys("openai:gpt-4o", None, is_published=False)


@pytest.mark.parametrize("model", ["", "   ", "x" * (NAME_LENGTH_MAX + 1)])
def test_no_name_and_an_endless_name_have_no_price(model: str) -> None:
    assert price_keys(model, "openai") == ()
