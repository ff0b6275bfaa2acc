"""Secrets that must be read again, such as a destination's address or a provider's key: sealed before they are stored.

AES-256-GCM under a key derived (HKDF-SHA256) from WFLO_SECRET_KEY. A seal says which key made it, so after a change
of WFLO_SECRET_KEY what was sealed before is still read as long as the old key is among WFLO_OLD_SECRET_KEYS, and
without it the error says so. Format 1: one byte 1, 4 bytes of the key's name, 12 of nonce, then the ciphertext.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from tracking.errors import WfloServerError

_FORMAT = b"\x01"
_NAME_BYTES, _NONCE_BYTES, _TAG_BYTES = 4, 12, 16
_HEAD_BYTES = len(_FORMAT) + _NAME_BYTES


class CannotUnseal(WfloServerError):
    """A stored secret cannot be read: enter it again."""

    code = "cannot_unseal"


def seal(text: str) -> bytes:
    name, key = _key(settings.SECRET_KEY)
    nonce = os.urandom(_NONCE_BYTES)
    head = _FORMAT + name
    return head + nonce + AESGCM(key).encrypt(nonce, text.encode("utf-8", "surrogatepass"), head)


def unseal(sealed: bytes | memoryview) -> str:
    """The text again. Raises CannotUnseal when its key is not here any more, or the bytes are not what was sealed."""
    sealed = bytes(sealed)
    if sealed[:1] != _FORMAT or len(sealed) < _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES:
        raise CannotUnseal("A stored secret is damaged: enter it again.")
    key = _keys().get(sealed[1:_HEAD_BYTES])
    if key is None:
        raise CannotUnseal(
            "A stored secret was sealed under another WFLO_SECRET_KEY. Add that key to WFLO_OLD_SECRET_KEYS, "
            "or enter the secret again."
        )
    nonce, ciphertext = sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES], sealed[_HEAD_BYTES + _NONCE_BYTES :]
    try:
        text = AESGCM(key).decrypt(nonce, ciphertext, sealed[:_HEAD_BYTES])
    except InvalidTag:
        raise CannotUnseal("A stored secret is damaged: enter it again.") from None
    return text.decode("utf-8", "surrogatepass")


def is_current(sealed: bytes | memoryview) -> bool:
    """Whether it was sealed under the present WFLO_SECRET_KEY; else seal it anew before the old key goes."""
    return bytes(sealed)[1:_HEAD_BYTES] == _key(settings.SECRET_KEY)[0]


def _keys() -> dict[bytes, bytes]:
    return dict(_key(secret) for secret in (*settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY))


@lru_cache(maxsize=32)
def _key(secret: str) -> tuple[bytes, bytes]:
    """The key's name and the key. The name is a hash of the key, which tells nothing of the secret."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"wflo sealed secrets").derive(secret.encode())
    return hashlib.sha256(key).digest()[:_NAME_BYTES], key
