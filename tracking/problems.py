"""RFC 9457 problem details: the one form of an error on every door for programs that is ours."""

from __future__ import annotations

from typing import Any

import orjson

TITLES = {
    400: "The request is wrong",
    401: "No usable API key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long to arrive",
    413: "Too large",
    415: "This type is not taken",
    429: "Quota reached",
    500: "The server failed",
    503: "Try again in a moment",
}


def problem_json(
    status: int, code: str, detail: str, *, field: str | None = None, request_id: str | None = None
) -> bytes:
    """``field`` names what is wrong; ``request_id`` is for people to quote. Both are left out when there is none."""
    body: dict[str, Any] = {
        "type": f"urn:wflo:problem:{code}",
        "title": TITLES.get(status, "The request could not be answered"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if request_id:
        body["request_id"] = request_id
    if field is not None:
        body["field"] = field
    return orjson.dumps(body)
