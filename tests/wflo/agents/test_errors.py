"""One tree for every provider's failures, and which are tried again after how long."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from wflo.agents import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BudgetExceededError,
    ContentPolicyError,
    GuardrailError,
    InvalidRequestError,
    LLMError,
    RateLimitError,
    RetryConfig,
    StructuredOutputError,
    TokenLimitError,
    classify,
    settings,
)  # fmt: skip


def raised(
    name: str, text: str = "it failed", *, status: int | None = None, base: type = Exception, **more: Any
) -> Exception:
    error = type(name, (base,), {})(text)
    if status is not None:
        error.status_code = status
    for key, value in more.items():
        setattr(error, key, value)
    found: Exception = error
    return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised("ContextWindowExceededError", status=400), TokenLimitError),
        (raised("BadRequestError", "This model's maximum context length is 8192 tokens", status=400), TokenLimitError),
        (raised("BadRequestError", "messages: field required", status=400), InvalidRequestError),
        (raised("ContentPolicyViolationError", status=400), ContentPolicyError),
        (raised("RateLimitError", status=429), RateLimitError),
        (raised("AuthenticationError", status=401), AuthenticationError),
        (raised("PermissionDeniedError", status=403), AuthenticationError),
        (raised("InternalServerError", status=500), APIConnectionError),
        (raised("ServiceUnavailableError", status=503), APIConnectionError),
        (raised("Timeout", status=408), APITimeoutError),
        (raised("NotFoundError", status=404), InvalidRequestError),
        (raised("BudgetExceededError"), BudgetExceededError),
        (raised("Strange", status=429), RateLimitError),
        (raised("Strange", status=401), AuthenticationError),
        (raised("Strange", status=504), APITimeoutError),
        (raised("Strange", status=529), APIConnectionError),
        (raised("Strange", "prompt is too long: 300000 tokens", status=400), TokenLimitError),
        (raised("Strange", status=422), InvalidRequestError),
        (raised("Strange", "Rate limit reached, context length fine"), TokenLimitError),
        (raised("Strange", "Rate limit reached"), RateLimitError),
        (raised("Strange", "connection refused"), APIConnectionError),
        (raised("Strange", "no api key"), AuthenticationError),
        (raised("Strange", "who knows"), LLMError),
        (raised("Mine", base=ConnectionError), APIConnectionError),
        (TimeoutError(), APITimeoutError),
        (httpx.ConnectError("refused"), APIConnectionError),
    ],
)  # fmt: skip
def test_class_first_then_status_then_text(error: Exception, kind: type[LLMError]) -> None:
    found = classify(error)
    assert type(found) is kind
    assert str(found)


def test_one_of_ours_stays_itself() -> None:
    error = RateLimitError("x")
    assert classify(error) is error


def test_what_is_told_of_it_is_kept() -> None:
    response = httpx.Response(429, headers={"retry-after": "7"})
    found = classify(raised("RateLimitError", "slow", status=429, llm_provider="openai", response=response))
    assert (found.status, found.provider, found.retry_after_s) == (429, "openai", 7.0)
    assert (
        classify(raised("X", "y", response=httpx.Response(500, headers={"retry-after": "soon"}))).retry_after_s is None
    )


def test_rate_limits_and_connections_alone_are_tried_again() -> None:
    again = {kind for kind in _all(LLMError) if kind.is_retryable}
    assert again == {RateLimitError, APIConnectionError, APITimeoutError}
    assert {GuardrailError, StructuredOutputError} <= _all(LLMError)
    assert str(TokenLimitError()) == "The conversation is longer than the model's context."


def _all(kind: type[LLMError]) -> set[type[LLMError]]:
    return {kind}.union(*(_all(one) for one in kind.__subclasses__())) if kind.__subclasses__() else {kind}


def test_waits_double_within_their_limits_and_as_long_as_the_provider_asks() -> None:
    config = RetryConfig(min_wait=2, max_wait=30, multiplier=1)
    assert [config.wait_s(attempt, RateLimitError()) for attempt in range(1, 8)] == [2, 2, 4, 8, 16, 30, 30]
    assert config.wait_s(1, RateLimitError(retry_after_s=9)) == 9
    assert config.wait_s(1, RateLimitError(retry_after_s=900)) == 30


@pytest.mark.parametrize("fields", [{"max_attempts": 0}, {"min_wait": 9, "max_wait": 1}, {"min_wait": -1}])
def test_what_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        RetryConfig(**fields)


def test_settings_that_change_are_heeded_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 4 of the original: they were frozen at import."""
    before = settings.retry_max_attempts
    settings.retry_max_attempts = 7
    try:
        assert RetryConfig.of_settings().max_attempts == 7
    finally:
        settings.retry_max_attempts = before
