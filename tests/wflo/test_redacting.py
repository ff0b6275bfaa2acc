"""The library strikes out what the server does, before anything is queued."""

from __future__ import annotations

import json

import pytest

from tracking.redaction import redactor
from wflo.redacting import redacted

SECRETS = [
    "sk-proj-abcdefghijklmnopqrstuvwxyz0123",
    "rk_live_abcdefghijklmnopqrstuvwxyz0123",
    "AKIAABCDEFGHIJKLMNOP",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijk",
    "postgres://user:pa55word@db.example.org/x",
    "ghp_abcdefghijklmnopqrstuvwxyzABCDEF0123",
    "glpat-abcdefghijklmnopqrst",
    "xoxb-1234567890-abcdef",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "hf_abcdefghijklmnopqrstuvwxyzABCD",
    "Bearer abcdefghijklmnopqrstuvwxyz",
    "wf_live_abcdefghijkl_abcdefghijklmnopqrstuvwxyzabcdefghijklmn",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabcd+/=\n-----END RSA PRIVATE KEY-----",
]
PERSONAL = ["someone@example.org", "4111 1111 1111 1111"]
HARMLESS = [
    "a task-force and a risk-based plan",
    "https://example.org/a@b",
    "order 1234 5678 9012 3456",
    "ghost_town",
    "now:-)",
]


@pytest.mark.parametrize("text", SECRETS + PERSONAL + HARMLESS)
@pytest.mark.parametrize("policy", ["secrets", "secrets_and_personal", "off"])
def test_as_the_server_does(text: str, policy: str) -> None:
    told = json.dumps({"content": f"before {text} after"}, ensure_ascii=False)
    found = redacted(told, policy)
    assert json.loads(found)
    assert found == redactor(policy).words(told) or "PRIVATE KEY" in text
    is_secret = text in SECRETS or (text in PERSONAL and policy == "secrets_and_personal")
    assert (found != told) == (is_secret and policy != "off")


def test_a_private_key_leaves_nothing_behind() -> None:
    assert "MIIEow" not in redacted(json.dumps(SECRETS[-1]), "secrets")


def test_a_function_of_ones_own() -> None:
    assert redacted('"secret word"', lambda text: text.replace("secret", "*")) == '"* word"'


def test_hostile_text_is_read_in_linear_time() -> None:
    for text in (
        "-----BEGIN PRIVATE KEY-----" * 4_000,
        "a://b:" * 20_000 + "@",
        "sk-" * 40_000,
        "a@" * 50_000,
        "eyJ" * 40_000,
    ):
        redacted(text, "secrets_and_personal")
