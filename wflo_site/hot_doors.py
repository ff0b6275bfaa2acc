"""How the doors that do not go through Django stand in the OpenAPI file: these of ingest, and gateway_doors.py's."""

from __future__ import annotations

from typing import Any

from wflo_site.gateway_doors import GATEWAY_PATHS

_SECURITY: list[dict[str, list[str]]] = [{"ApiKeyAuth": []}]


def _answer(description: str, schema: dict[str, Any] | None = None, media: str = "application/json") -> dict[str, Any]:
    return {"description": description} | ({"content": {media: {"schema": schema}}} if schema else {})


PROBLEM: dict[str, Any] = {
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
}
_STATUS = {
    "type": "object",
    "description": "google.rpc.Status, in the request's own encoding",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_OTLP_STATUS = {
    "content": {
        "application/json": {"schema": _STATUS},
        "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
    }
}
_REFUSALS = {
    "400": "The body cannot be read; nothing of it was kept.",
    "401": "No key, or a key nobody knows.",
    "403": 'The key has no scope "ingest".',
    "413": "Larger than 8 MiB compressed or 20 MiB plain, or more than 10,000 items.",
    "415": "A content type or coding that is not taken.",
    "429": "The team's quota for today is used up.",
    "503": "Busy, or the store is away: send it again after Retry-After.",
}


def _refused(how: dict[str, Any]) -> dict[str, Any]:
    return {status: how | {"description": words} for status, words in _REFUSALS.items()}


def _otlp(summary: str, message: str, rejected: str) -> dict[str, Any]:
    partial = {
        "type": "object",
        "properties": {
            "partialSuccess": {
                "type": "object",
                "properties": {rejected: {"type": "string"}, "errorMessage": {"type": "string"}},
            }
        },
    }
    return {
        "post": {
            "summary": summary,
            "tags": ["Ingest"],
            "operationId": f"otlp_{message.lower()}",
            "security": _SECURITY,
            "description": "OTLP/HTTP. Content-Encoding: identity, gzip, deflate or zstd. 200 is answered only after "
            "the commit; what could not be stored stands in the partial success, each with its reason.",
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
                    "application/json": {"schema": {"type": "object", "description": f"Export{message}ServiceRequest"}},
                },
            },
            "responses": {"200": _answer("Stored.", partial), **_refused(_OTLP_STATUS)},
        }
    }


_EVENT = {
    "type": "object",
    "required": ["kind", "event_id", "run_id", "ts"],
    "additionalProperties": True,
    "properties": {
        "event_id": {"type": "string", "description": "the same id twice is the same event"},
        "run_id": {"type": "string", "description": "the caller's own id of the run"},
        "kind": {"type": "string", "examples": ["span.start", "span.end", "llm_call", "tool_call"]},
        "ts": {"type": "string", "format": "date-time"},
        "seq": {"type": "integer"},
    },
}
_RECEIPT = {
    "type": "object",
    "required": ["accepted", "known", "rejected", "control"],
    "properties": {
        "accepted": {"type": "integer"},
        "known": {"type": "integer", "description": "there already"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "code", "message"],
                "properties": {
                    "index": {"type": "integer"},
                    "code": {"type": "string"},
                    "message": {"type": "string", "description": "names the field"},
                },
            },
        },
        "control": {"type": "object"},
    },
}

HOT_PATHS: dict[str, Any] = GATEWAY_PATHS | {
    "/v1/traces": _otlp("Spans from any OpenTelemetry sender", "Trace", "rejectedSpans"),
    "/v1/logs": _otlp("Log records that carry contents of spans", "Logs", "rejectedLogRecords"),
    "/v1/metrics": _otlp("Metrics: read and answered, not kept", "Metrics", "rejectedDataPoints"),
    "/api/v1/ingest": {
        "post": {
            "summary": "Events in Wflo's own form",
            "tags": ["Ingest"],
            "operationId": "ingest_events",
            "security": _SECURITY,
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["events"],
                            "properties": {"events": {"type": "array", "maxItems": 500, "items": _EVENT}},
                        }
                    }
                },
            },
            "responses": {"200": _answer("Committed.", _RECEIPT), **_refused(PROBLEM)},
        }
    },
}
