"""What LiteLLM raises, as what it means: the provider said no, was not reached, was too slow, or nobody knows.

LiteLLM gives statuses to errors that no provider sent, so an error is judged by what it was made of: an answer that was
no success, a connection that was never made, or anything else after the request had gone out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from tracking.errors import UpstreamFailed
from tracking.gateway.failures import UpstreamTimeout, UpstreamUnclear, retry_after, said
from tracking.gateway.routing import Route

CAUSES_MAX = 16
_NOT_REACHED = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError", "gaierror", "UnsupportedProtocol",
     "InvalidURL"}
)  # fmt: skip
_TOO_SLOW = frozenset({"Timeout", "APITimeoutError", "ReadTimeout", "TimeoutError", "ServerTimeoutError"})
_CONTEXT = "ContextWindowExceededError"
_ADVICE = re.compile(r"(?:To drop these|Set `|Traceback|\n\n|Handle with).*", re.DOTALL)
_NAMES = re.compile(r"^(?:(?:litellm\.)?\w*(?:Error|Exception)\b[\s:-]*)+")


def read(error: BaseException, route: Route, timeout_s: float) -> UpstreamFailed:
    """``upstream_status`` is set where the provider answered, or the call could not even be sent."""
    if isinstance(error, UpstreamFailed):
        return error
    chain = list(_causes(error))
    names = {name for one in chain for name in _names(one)}
    answer = next((one for one in chain if "HTTPStatusError" in _names(one)), None)
    if answer is not None:
        return _refused(chain, route, answer.response.status_code, _body(chain))  # type: ignore[attr-defined]
    if names & _NOT_REACHED:
        return UpstreamFailed(f'The provider of "{route.model}" could not be reached.', provider=route.provider)
    if names & _TOO_SLOW:
        return UpstreamTimeout(route, timeout_s)
    if "LiteLLMUnknownProvider" in names:
        return UpstreamFailed(f'LiteLLM knows no provider "{route.provider}".', provider=route.provider)
    status = getattr(chain[-1], "status_code", None)
    if _is_litellms(chain[-1]) and isinstance(status, int) and 400 <= status < 500:  # refused before it was sent
        return _refused(chain, route, status, b"")
    return UpstreamUnclear(route, type(chain[-1]).__name__)


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


def _is_litellms(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == "litellm"


def _body(chain: list[BaseException]) -> bytes:
    """What the provider said, as near as LiteLLM kept it."""
    for one in reversed(chain):
        found: Any = getattr(one, "body", None)
        if isinstance(found, dict):  # the OpenAI client's: the inside of "error"
            return orjson.dumps({"error": found}, default=str)
        found = getattr(one, "message", None)
        if found and not _is_litellms(one) or (found and "HTTPStatusError" in _names(one)):
            return found if isinstance(found, bytes) else str(found).encode("utf-8", "replace")
    return b""


def _refused(chain: list[BaseException], route: Route, status: int, body: bytes) -> UpstreamFailed:
    words = said(body) or _plain(str(getattr(chain[0], "message", ""))) or f"The provider answered {status}."
    if any(_CONTEXT in _names(one) for one in chain):
        inside = {"message": words, "type": "invalid_request_error", "code": "context_length_exceeded"}
        body = orjson.dumps({"error": inside})
    return UpstreamFailed(
        words,
        status=status if status >= 400 else 502,
        provider=route.provider,
        upstream_status=status,
        body=body,
        retry_after_s=next((wait for one in chain if (wait := retry_after(_header(one))) is not None), None),
    )


def _plain(text: str) -> str:
    """LiteLLM's sentence without names of classes, advice and traces."""
    return _ADVICE.sub("", _NAMES.sub("", text)).strip()[:1000]


def _header(error: BaseException) -> str | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("litellm_response_headers", "headers"):
            headers: Any = getattr(holder, name, None)
            value = headers.get("retry-after") if hasattr(headers, "get") else None
            if value:
                return str(value)
    return None
