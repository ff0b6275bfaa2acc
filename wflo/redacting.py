"""Secrets are taken out of an event before it is queued: what was never sent cannot leak on the way.

Works on the event's JSON text. Nearly every text holds no mark of any secret; a few searches for plain substrings tell so
in a microsecond or two. The patterns are the server's (``wflo.secret_words``), which looks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from wflo.secret_words import PERSONAL, SECRETS, is_card

# What every secret of a kind has in it: one of these characters, and then one of these marks. To look for one character
# costs next to nothing.
_MARKS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "key": (("-", ("sk-", "pk-", "rk-")), ("_", ("sk_", "pk_", "rk_"))),
    "aws_key": (("A", ("AKIA", "ASIA", "ABIA", "ACCA")),),
    "jwt": (("J", ("eyJ",)),),
    "private_key": (("K", ("PRIVATE KEY",)),),
    "url_password": (("@", ("://",)),),
    "token": (
        ("_", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "hf_", "npm_", "wf_")),
        ("-", ("glpat-", "xox", "pypi-")),
        ("A", ("AIza",)),
        (".", ("ya29.", "SG.")),
    ),
    "bearer": ((" ", ("earer ", "EARER ")),),
    "mail": (("@", ("@",)),),
    "card": tuple((digit, (digit,)) for digit in "23456"),
}
# Python's ``re`` may go back in a text, so these two are read forwards only.
_FORWARDS = {
    "private_key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s:,-]|\\[nrt])*",
    "url_password": r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@\"\\]*:[^\s/\"\\@]+@",
}


def redacted(text: str, policy: str | Callable[[str], str]) -> str:
    """``text`` without what the policy strikes out: secrets, secrets_and_personal, off, or a function of one's own."""
    if callable(policy):
        return policy(text)
    for name, marks, pattern in _patterns(policy):
        if _may_hold(text, marks):
            text = pattern.sub(_replacement(name), text)
    return text


def _may_hold(text: str, marks: tuple[tuple[str, tuple[str, ...]], ...]) -> bool:
    for character, words in marks:
        if character in text:
            for word in words:
                if word in text:
                    return True
    return False


@cache
def _patterns(policy: str) -> tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...], re.Pattern[str]], ...]:
    kinds = {"secrets": SECRETS, "off": {}}.get(policy, {**SECRETS, **PERSONAL})
    flags = re.ASCII
    return tuple((name, _MARKS[name], re.compile(_FORWARDS.get(name, text), flags)) for name, text in kinds.items())


@cache
def _replacement(name: str) -> Callable[[re.Match[str]], str]:
    def struck(match: re.Match[str]) -> str:
        found = match.group()
        if name == "card" and not is_card(found):
            return found
        if name == "url_password":
            return found[: found.index(":", found.index("://") + 3) + 1] + "[redacted]@"
        return f"[redacted {name}]"

    return struck
