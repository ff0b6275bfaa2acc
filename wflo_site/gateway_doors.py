"""How the gateway's doors stand in the OpenAPI file. They are served by tracking/gateway/*api.py."""

from __future__ import annotations

from typing import Any

_SECURITY: list[dict[str, list[str]]] = [{"ApiKeyAuth": []}]
_AGENTWALL = {
    "type": "object",
    "description": "what Wflo knows of the call",
    "properties": {
        "run_id": {"type": "string"},
        "step": {"type": "integer"},
        "cost_usd": {"type": ["number", "null"], "description": "null: unknown"},
        "cost_status": {"type": "string", "enum": ["known", "estimated", "unknown"]},
        "total_run_cost": {"type": ["number", "null"]},
        "total_run_steps": {"type": "integer"},
        "overhead_ms": {"type": "number"},
        "provider": {"type": "string"},
        "is_cut": {"type": "boolean", "description": "the budget paid for fewer tokens than were asked for"},
    },
}
_ERROR_FIELDS = {
    "type": "object",
    "required": ["message", "type", "code"],
    "additionalProperties": True,
    "properties": {
        "message": {"type": "string"},
        "type": {"type": "string"},
        "code": {"type": "string"},
        "param": {"type": ["string", "null"]},
        "request_id": {"type": "string", "description": "of a call that was not made"},
    },
}
_ERROR = {
    "type": "object",
    "description": "As the dialect says errors (Anthropic's has a type beside), and once more under detail.",
    "required": ["error", "detail"],
    "properties": {
        "type": {"type": "string"},
        "error": _ERROR_FIELDS,
        "detail": {"type": "object", "properties": {"error": _ERROR_FIELDS}},
    },
}
_READ_REFUSALS = {
    "401": "No key, or a key nobody knows.",
    "403": 'The key has no scope "gateway", or the team is not active.',
    "404": "No such thing of this team's.",
    "405": "Another method.",
    "503": "The store is away: try again after Retry-After.",
}
_CALL_REFUSALS = _READ_REFUSALS | {
    "400": "No JSON, a field that would lead the call elsewhere, or a price that nobody knows under a budget in money.",
    "403": 'The key has no scope "gateway" or may not call that model, or the team is not active.',
    "404": "No such model.",
    "413": "Larger than 20 MiB.",
    "415": "Not application/json.",
    "422": "A field is wrong; details names it.",
    "429": "A budget, a loop, a killed run (x-should-retry: false), or a rate (Retry-After).",
    "502": "The provider's own failure; its status where it gave one.",
    "504": "The provider did not answer in time.",
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation(
    name: str, summary: str, answer: dict[str, Any], refusals: dict[str, str], **more: Any
) -> dict[str, Any]:
    refused = {status: {"description": words, "content": _json(_ERROR)} for status, words in refusals.items()}
    return {
        "summary": summary,
        "tags": ["Gateway"],
        "operationId": name,
        "security": _SECURITY,
        "responses": {"200": answer, **refused},
        **more,
    }


def _header(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": words, "schema": {"type": "string"}}


_HEADERS = [
    _header("X-Wflo-Run-Id", "the run the call belongs to; X-AgentWall-Run-ID and agentwall_run_id say the same"),
    _header("X-Wflo-Root-Run-Id", "the run above it, of a sub-agent's call"),
    _header("X-Wflo-Agent", "whom the cost is charged to"),
    _header("X-Wflo-Span-Id", "the span to hang the call under"),
    _header("X-Wflo-User", "the end user"),
    _header("X-Wflo-Session-Id", "the session"),
    _header("X-Wflo-Purpose", "what the call is for"),
    _header("Idempotency-Key", "the same key again is answered with the first answer"),
]


def _call(name: str, summary: str, required: list[str], *, is_streamed: bool = True) -> dict[str, Any]:
    whole = {"type": "object", "additionalProperties": True, "properties": {"agentwall": _AGENTWALL}}
    content = _json(whole)
    if is_streamed:
        content["text/event-stream"] = {"schema": {"type": "string", "description": "the provider's events, untouched"}}
    answer = {"description": "The provider's answer.", "content": content}
    body = {"type": "object", "required": required, "additionalProperties": True,
            "properties": {"model": {"type": "string", "description": "a model group, or a model by its own name"}}}  # fmt: skip
    asked = {"required": True, "content": _json(body)}
    return {"post": _operation(name, summary, answer, _CALL_REFUSALS, requestBody=asked, parameters=_HEADERS)}


def _get(name: str, summary: str, parameter: str = "") -> dict[str, Any]:
    answer = {"description": "Found.", "content": _json({"type": "object", "additionalProperties": True})}
    return {"get": _operation(name, summary, answer, _READ_REFUSALS, parameters=_path(parameter))}


def _delete(name: str, summary: str, parameter: str) -> dict[str, Any]:
    answer = {"description": "Done.", "content": _json({"type": "object", "additionalProperties": True})}
    return {"delete": _operation(name, summary, answer, _READ_REFUSALS, parameters=_path(parameter))}


def _post(name: str, summary: str, parameter: str) -> dict[str, Any]:
    answer = {"description": "Done.", "content": _json({"type": "object", "additionalProperties": True})}
    body = {"required": False, "content": _json({"type": "object", "properties": {"reason": {"type": "string"}}})}
    refusals = {**_READ_REFUSALS, "400": "The reason is no text, or too long."}
    return {"post": _operation(name, summary, answer, refusals, requestBody=body, parameters=_path(parameter))}


def _path(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}] if name else []


GATEWAY_PATHS: dict[str, Any] = {
    "/v1/chat/completions": _call("chat_completions", "OpenAI's chat completions", ["model", "messages"]),
    "/v1/completions": _call("completions", "OpenAI's completions of before chat", ["model", "prompt"]),
    "/v1/embeddings": _call("embeddings", "OpenAI's embeddings", ["model", "input"], is_streamed=False),
    "/v1/responses": _call("responses", "OpenAI's responses", ["model", "input"]),
    "/v1/responses/{response_id}": {
        **_get("kept_response", "An answer that its provider keeps", "response_id"),
        **_delete("delete_response", "Have it kept no longer", "response_id"),
    },
    "/v1/responses/{response_id}/input_items": _get("kept_response_input", "What it was an answer to", "response_id"),
    "/v1/messages": _call("messages", "Anthropic's messages", ["model", "messages", "max_tokens"]),
    "/v1/messages/count_tokens": _call(
        "count_tokens", "How many tokens a message would be; costs nothing", ["model", "messages"], is_streamed=False
    ),
    "/v1/models": _get(
        "models", "What this key may call, in OpenAI's form, or Anthropic's where anthropic-version is sent"
    ),
    "/v1/models/{model}": _get("model", "One of them", "model"),
    "/v1/runs": _get("gateway_runs", "Runs that called through the gateway, the latest call first"),
    "/v1/runs/{run_id}": _get("gateway_run", "How a run stands: steps, tokens, cost, whether it was stopped", "run_id"),
    "/v1/runs/{run_id}/kill": _post("kill_gateway_run", "Stop a run: its later calls are refused", "run_id"),
    "/v1/runs/{run_id}/complete": _post("complete_gateway_run", "Say that a run is done", "run_id"),
}
