"""A signed request is told from a forged, a changed and a kept one (S17)."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from wflo.webhooks import new_secret, sign, verify

AT = 1_790_000_000
SECRET = new_secret()
BODY = '{"type":"alert.opened","data":{"title":"α"}}'.encode()
HEADERS = sign(SECRET, "msg_1", BODY, at=AT)


def test_the_signature_is_the_standards() -> None:
    """The example of the specification's own reference implementations."""
    headers = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', at=1614265330
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_was_signed_is_taken() -> None:
    assert verify(SECRET, HEADERS, BODY, now=AT) == "msg_1"
    assert verify(SECRET, {name.title(): value for name, value in HEADERS.items()}, BODY, now=AT + 300) == "msg_1"


def test_one_fitting_signature_of_several_is_enough() -> None:
    both = HEADERS | {"webhook-signature": f"v1,{base64.b64encode(bytes(32)).decode()} {HEADERS['webhook-signature']}"}
    assert verify(SECRET, both, BODY, now=AT) == "msg_1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-signature": "v1,"},
        {"webhook-signature": HEADERS["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": "v1,\u00e9"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661\u0662"},
    ],
)
def test_a_changed_header_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="signature|seconds"):
        verify(SECRET, HEADERS | change, BODY, now=AT)


def test_a_changed_body_and_another_secret_are_refused() -> None:
    for secret, body in ((SECRET, BODY + b" "), (new_secret(), BODY)):
        with pytest.raises(ValueError, match="does not fit"):
            verify(secret, HEADERS, body, now=AT)


@pytest.mark.parametrize("late", [301, -301])
def test_a_kept_request_is_refused(late: int) -> None:
    with pytest.raises(ValueError, match="more than 300 seconds"):
        verify(SECRET, HEADERS, BODY, now=AT + late)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        verify(SECRET, {key: value for key, value in HEADERS.items() if key != name}, BODY, now=AT)


def test_a_secret_is_32_random_bytes() -> None:
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"))) == 32
    assert hmac.digest(base64.b64decode(SECRET.removeprefix("whsec_")), b"", hashlib.sha256)
    assert new_secret() != new_secret()
