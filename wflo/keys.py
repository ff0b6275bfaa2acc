"""The text of an API key: ``wf_live_<12 id>_<43 secret><6 checksum>``, all in base 62.

The id is shown on pages so that people can tell keys apart. The secret has 256 bits. The checksum lets a door, or a
scanner of leaked keys, tell a typo from a key without asking anyone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 12
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
PREFIX = "wf_live_"
PREFIX_SHOWN_LENGTH = len(PREFIX) + ID_LENGTH
FOREIGN_PREFIX_SHOWN = 6

_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}")


def new_key() -> str:
    """A new key from the system's random source."""
    body = f"{PREFIX}{_random(ID_LENGTH)}_{_random(SECRET_LENGTH)}"
    return body + checksum(body)


def checksum(body: str) -> str:
    """CRC-32 of the text before it, as six digits of base 62."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_typo(text: str) -> bool:
    """Whether the text has the shape of our keys and a wrong checksum. Keys of other shapes are never typos."""
    if not _SHAPE.fullmatch(text):
        return False
    return checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]


def prefix_of(text: str) -> str:
    """The part of a key that may be shown: ours up to its id, and never more than a third of a foreign one."""
    if _SHAPE.fullmatch(text):
        return text[:PREFIX_SHOWN_LENGTH]
    return text[: min(FOREIGN_PREFIX_SHOWN, len(text) // 3)]


def digest_of(text: str) -> bytes:
    """SHA-256: the secret has 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
