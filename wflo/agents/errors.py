"""What can go wrong between an agent and its model, one class a cause, whoever the provider is.

LLMError
├── TokenLimitError             the conversation is longer than the model's context
├── RateLimitError              429; tried again
├── APIConnectionError          5xx, the network; tried again
│   └── APITimeoutError         no answer in time
├── InvalidRequestError         400, 404, 422
│   └── ContentPolicyError      the provider's own filter said no
├── AuthenticationError         401, 403
├── BudgetExceededError         what may be spent is spent; ``outcome`` is what there was until then
├── StructuredOutputError       no answer fitted the type; ``last_answer`` is what was said
└── GuardrailError              a guardrail did not let it through
"""

from __future__ import annotations

from typing import Any, ClassVar


class LLMError(Exception):
    """A call of a model failed."""

    is_retryable: ClassVar[bool] = False

    def __init__(
        self, message: str = "", *, status: int | None = None, provider: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message or type(self).__doc__)
        self.status = status
        self.provider = provider
        self.retry_after_s = retry_after_s
        self.iteration: int | None = None  # of the tool loop, from 1

    def at(self, iteration: int) -> None:
        """Say in which turn of a tool loop it happened."""
        if self.iteration is None and iteration > 1:
            self.iteration = iteration
            self.args = (f"{self.args[0]} (in turn {iteration} of the tool loop)", *self.args[1:])


class TokenLimitError(LLMError):
    """The conversation is longer than the model's context."""


class RateLimitError(LLMError):
    """The provider asks for fewer calls."""

    is_retryable = True


class APIConnectionError(LLMError):
    """The provider could not be reached, or failed."""

    is_retryable = True


class APITimeoutError(APIConnectionError):
    """The provider did not answer in time."""


class InvalidRequestError(LLMError):
    """The provider does not take the request."""


class ContentPolicyError(InvalidRequestError):
    """The provider's filter did not let it through."""


class AuthenticationError(LLMError):
    """The provider does not know the key, or it may not do this."""


class BudgetExceededError(LLMError):
    """What may be spent is spent."""

    def __init__(self, message: str = "", *, outcome: Any = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.outcome = outcome


class StructuredOutputError(LLMError):
    """No answer fitted the type that was asked for."""

    def __init__(self, message: str = "", *, last_answer: str = "", faults: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.last_answer = last_answer
        self.faults = faults


class GuardrailError(LLMError):
    """A guardrail did not let it through."""

    def __init__(self, message: str = "", *, guardrail: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.guardrail = guardrail


# By the class first: LiteLLM's and the makers' own clients name theirs alike. Then by status, by text last.
_BY_CLASS: dict[str, type[LLMError]] = {
    "ContextWindowExceededError": TokenLimitError,
    "ContentPolicyViolationError": ContentPolicyError,
    "BudgetExceededError": BudgetExceededError,
    "RateLimitError": RateLimitError,
    "Timeout": APITimeoutError,
    "APITimeoutError": APITimeoutError,
    "TimeoutError": APITimeoutError,
    "AuthenticationError": AuthenticationError,
    "PermissionDeniedError": AuthenticationError,
    "ServiceUnavailableError": APIConnectionError,
    "InternalServerError": APIConnectionError,
    "BadGatewayError": APIConnectionError,
    "MidStreamFallbackError": APIConnectionError,
    "APIConnectionError": APIConnectionError,
    "ConnectError": APIConnectionError,
    "ReadError": APIConnectionError,
    "RemoteProtocolError": APIConnectionError,
    "ConnectionError": APIConnectionError,
    "NotFoundError": InvalidRequestError,
    "UnprocessableEntityError": InvalidRequestError,
    "UnsupportedParamsError": InvalidRequestError,
    "BadRequestError": InvalidRequestError,
}
_TOO_LONG = (
    "token limit",
    "context length",
    "context_length",
    "context window",
    "maximum context",
    "too many tokens",
    "prompt is too long",
)
_BY_TEXT: tuple[tuple[tuple[str, ...], type[LLMError]], ...] = (
    (_TOO_LONG, TokenLimitError),
    (("rate limit", "rate_limit", "too many requests", "quota", "resource exhausted"), RateLimitError),
    (("timed out", "timeout"), APITimeoutError),
    (
        ("connection", "network", "unavailable", "unreachable", "bad gateway", "overloaded", "internal server error"),
        APIConnectionError,
    ),
    (("api key", "api_key", "unauthorized", "forbidden", "authentication", "permission"), AuthenticationError),
    (("invalid", "bad request", "unsupported", "validation"), InvalidRequestError),
)


def classify(error: BaseException) -> LLMError:
    """The standard error of whatever a provider's client raised; one of ours stays what it is.

    Its class says first, then its status, its text last: a context that is too long comes as a plain 400 from many.
    """
    if isinstance(error, LLMError):
        return error
    original = getattr(error, "original_exception", None)
    if type(error).__name__ == "MidStreamFallbackError" and isinstance(original, BaseException):
        return classify(original)  # LiteLLM's wrapping of what a stream raised
    text = str(error) or type(error).__name__
    status = _status_of(error)
    kind = _kind_of(error, status, text.lower())
    return kind(
        text, status=status, provider=str(getattr(error, "llm_provider", "") or ""), retry_after_s=_retry_after(error)
    )


def _kind_of(error: BaseException, status: int | None, text: str) -> type[LLMError]:
    for each in type(error).__mro__:
        found = _BY_CLASS.get(each.__name__)
        if found is InvalidRequestError and any(words in text for words in _TOO_LONG):
            return TokenLimitError
        if found is not None:
            return found
    if status is not None:
        return _of_status(status, text)
    return next((kind for words, kind in _BY_TEXT if any(word in text for word in words)), LLMError)


def _of_status(status: int, text: str) -> type[LLMError]:
    if status == 429:
        return RateLimitError
    if status in (401, 403):
        return AuthenticationError
    if status in (408, 504):
        return APITimeoutError
    if status >= 500:
        return APIConnectionError
    return TokenLimitError if any(words in text for words in _TOO_LONG) else InvalidRequestError


def _status_of(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None)
    try:
        return max(0.0, float(headers["retry-after"])) if headers and "retry-after" in headers else None
    except (TypeError, ValueError):
        return None
