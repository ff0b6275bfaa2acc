"""What secrets and personal data look like in text. Patterns that RE2 and Python's ``re`` read alike; every one is ASCII.

No pattern can match a quote or a backslash that JSON needs, so JSON stays JSON. A card number must begin like one, have
its length, and pass the Luhn check.
"""

from __future__ import annotations

SECRETS: dict[str, str] = {
    "key": r"\b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]{1,20}[-_]){0,3}[A-Za-z0-9_-]{20,}",
    "aws_key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]{8,})?",
    # One that was cut has no end: what looks like a key's lines goes.
    "private_key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
    r"(?:[^\"]*?-----END [A-Z ]{0,30}PRIVATE KEY-----|(?:[A-Za-z0-9+/=\s:,-]|\\[nrt])*)",
    "url_password": r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@\"\\]*:[^\s/\"\\]+@",
    "token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{18,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,}|hf_[A-Za-z0-9]{30,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|wf_[a-z]{1,10}_[A-Za-z0-9]{12}_[A-Za-z0-9]{40,})",
    "bearer": r"(?i:\bbearer )[A-Za-z0-9._~+/-]{20,}=*",
}
PERSONAL: dict[str, str] = {
    "mail": r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}\.[A-Za-z]{2,24}\b",
    "card": r"\b[2-6][0-9]{3}(?:[ -]?[0-9]{4,6}){2}[ -]?[0-9]{1,7}\b",
}
CARD_LENGTHS = frozenset({14, 15, 16, 19})


def is_card(found: str) -> bool:
    """Whether what looks like a card's number has its length and passes Luhn's check (ISO/IEC 7812-1, annex B)."""
    digits = [int(one) for one in found if one.isascii() and one.isdigit()]
    if len(digits) not in CARD_LENGTHS:
        return False
    doubled = [sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0
