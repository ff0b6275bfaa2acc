"""The JSON of a request: read, not too deep, and without fields that would lead the call elsewhere."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from tracking.errors import Invalid
from tracking.ingest.strict_json import loads

DEPTH_MAX = 100  # objects and lists inside one another; what can be written back stops at 250

# Who may choose where a call goes and with which key: operators, in a deployment; never a request.
_STEERING = frozenset(
    {
        "api_base", "base_url", "api_key", "headers", "extra_headers", "extra_body", "extra_query",
        "custom_llm_provider", "mock_response", "api_version", "organization_id", "azure_ad_token", "vertex_project",
        "vertex_location", "vertex_credentials", "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
        "aws_region_name", "model_list", "fallbacks", "num_retries", "max_retries", "timeout", "proxy", "proxy_url",
    }
)  # fmt: skip
# Anyone's own words: schemas may well have a field "headers", and a label may be called "timeout".
_WORDS = frozenset(
    {
        "messages", "input", "prompt", "system", "instructions", "tools", "functions", "response_format", "text",
        "output_config", "output_format", "prediction", "logit_bias", "agentwall_metadata", "mcp_servers",
    }
)  # fmt: skip
_LABELS = frozenset({"headers", "timeout", "fallbacks", "proxy", "max_retries", "num_retries"})


def parsed(raw: bytes) -> dict[str, Any]:
    """Raises Invalid (no JSON, no UTF-8, no object, too deep, a field that steers) and TooLarge (a bomb)."""
    body = loads(raw)
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.", field="body")
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX:
        _check_depth(body)
    _refuse_steering(body)
    for name in ("messages", "input"):
        _check_count(name, body.get(name))
    return body


def _check_depth(body: dict[str, Any]) -> None:
    level: list[Any] = [body]
    for _ in range(DEPTH_MAX):
        level = [inside for value in level for inside in _inside(value) if isinstance(inside, dict | list)]
        if not level:
            return
    raise Invalid(f"The body is nested more than {DEPTH_MAX} deep.", field="body")


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _check_count(name: str, items: Any) -> None:
    most = settings.LIMITS["gateway_messages"]
    if isinstance(items, list) and len(items) > most and isinstance(items[0], dict):
        raise Invalid(f"{name} may hold at most {most:,} of them.", field=name)


def _refuse_steering(body: dict[str, Any]) -> None:
    """Fields by which LiteLLM and its kind would be led elsewhere, at any depth but in people's own words."""
    waiting: list[tuple[Any, bool]] = [(body, False)]
    while waiting:
        value, is_label = waiting.pop()
        if isinstance(value, list):
            waiting.extend((inside, is_label) for inside in value)
        elif isinstance(value, dict):
            for name, inside in value.items():
                if (name in _STEERING and not (is_label and name in _LABELS)) or name.startswith("litellm_"):
                    raise Invalid(
                        f'"{name}" is not taken from a request: an operator sets where a deployment is and with which'
                        " key.",
                        field=name,
                    )
                if name not in _WORDS and isinstance(inside, dict | list):
                    waiting.append((inside, is_label or name == "metadata"))
