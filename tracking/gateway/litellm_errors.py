"""What LiteLLM raises, as what it means: the provider said no, was not reached, was too slow, or nobody knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from tracking.errors import UpstreamFailed
from tracking.gateway.failures import UpstreamTimeout, UpstreamUnclear, retry_after, said
from tracking.gateway.routing import Route

CAUSES_MAX = 12
_NOT_REACHED = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError", "ConnectionRefusedError",
     "gaierror", "UnsupportedProtocol", "InvalidURL", "InvalidUrlClientError"}
)  # fmt: skip
_TOO_SLOW = frozenset({"Timeout", "APITimeoutError", "ReadTimeout", "TimeoutError", "ServerTimeoutError"})
_OURS = frozenset({"UnsupportedParamsError", "JSONSchemaValidationError"})  # refused before anything was sent
_STATUSES = {"ContextWindowExceededError": 400, "ContentPolicyViolationError": 400}
_ADVICE = re.compile(r"(?:To drop these|Set `|Traceback|\n\n).*", re.DOTALL)
_WORDS = re.compile(r"^(?:litellm\.)?\w+(?:Error|Exception)?: (?:\w+(?:Error|Exception)\s*-?:? ?)*")


def read(error: BaseException, route: Route, timeout_s: float) -> UpstreamFailed:
    """``upstream_status`` is set where the provider answered, or the call could never have been sent."""
    if isinstance(error, UpstreamFailed):
        return error
    chain = list(_causes(error))
    names = {name for one in chain for name in _names(one)}
    refusal = next((status for one in chain for status in [_STATUSES.get(type(one).__name__)] if status), None)
    status = refusal or next((found for one in chain if (found := _answered(one)) is not None), None)
    if status is not None:
        return _refused(chain, route, status)
    if names & _NOT_REACHED:
        return UpstreamFailed(f'The provider of "{route.model}" could not be reached.', provider=route.provider)
    if names & _TOO_SLOW:
        return UpstreamTimeout(route, timeout_s)
    if names & _OURS:
        return _refused(chain, route, 400)
    if "LiteLLMUnknownProvider" in names:
        return UpstreamFailed(f'LiteLLM knows no provider "{route.provider}".', provider=route.provider)
    return UpstreamUnclear(route, type(chain[0]).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was made of."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and len(seen) < CAUSES_MAX and id(found) not in seen:
        seen.add(id(found))
        yield found
        original = getattr(found, "original_exception", None)
        found = original if isinstance(original, BaseException) else found.__cause__ or found.__context__


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _answered(error: BaseException) -> int | None:
    """The status of a provider that answered. LiteLLM makes some up where none did."""
    if getattr(error, "status_code_is_synthesized", None) is False:
        status = getattr(error, "status_code", None)
    elif type(error).__module__.partition(".")[0] in ("openai", "httpx", "httpx2"):
        status = getattr(getattr(error, "response", None), "status_code", None)
    else:
        return None
    return status if isinstance(status, int) and 300 <= status < 600 else None


def _refused(chain: list[BaseException], route: Route, status: int) -> UpstreamFailed:
    raw = next((text for one in reversed(chain) if isinstance(text := getattr(one, "message", None), str) and text), "")
    body = raw.encode("utf-8", "replace")
    is_window = any("ContextWindowExceededError" in _names(one) for one in chain)
    message = said(body) or _plain(raw) or f"The provider answered {status}."
    if is_window:
        inside = {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
        body = orjson.dumps({"error": inside})
    return UpstreamFailed(
        message,
        status=status if status >= 400 else 502,
        provider=route.provider,
        upstream_status=status,
        body=body,
        retry_after_s=next((wait for one in chain if (wait := retry_after(_header(one))) is not None), None),
    )


def _plain(text: str) -> str:
    """LiteLLM's sentence without its names of classes, advice and traces."""
    return _ADVICE.sub("", _WORDS.sub("", text)).strip()[:1000]


def _header(error: BaseException) -> str | None:
    for name in ("litellm_response_headers", "headers"):
        headers: Any = getattr(error, name, None)
        if headers is not None and hasattr(headers, "get"):
            value = headers.get("retry-after")
            if value:
                return str(value)
    return None
