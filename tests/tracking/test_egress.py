"""S16: what a team may have this server call. The address of the connection is judged, however it was written."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.tracking.receivers import HttpReceiver, http_receiver
from tracking.egress import CallFailed, post, read_target
from tracking.egress_guard import refusal
from tracking.errors import Invalid
from wflo_site.env import env_networks

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.88.99.1",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a00:1::1", "100::1", "3fff::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_inside_a_network_is_called(address: str) -> None:
    assert "no public address" in refusal(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert refusal(address, 443) == ""


def test_an_operator_can_allow_a_network_and_only_that() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert refusal("10.1.2.3", 443, allowed) == refusal("fd00::7", 443, allowed) == ""
    assert refusal("::ffff:10.1.2.3", 443, allowed) == ""
    assert refusal("10.2.2.3", 443, allowed) != ""


@pytest.mark.parametrize("port", [22, 53, 2375, 5432, 6379, 11211, 27017])
def test_stores_and_shells_are_not_called_wherever_they_are(port: int) -> None:
    assert f"Port {port}" in refusal("8.8.8.8", port)
    assert f"Port {port}" in refusal("127.0.0.1", port, LOOPBACK)


def test_what_is_no_address_is_refused() -> None:
    assert refusal("/run/docker.sock", None) != ""
    assert refusal("example.org", 443) != ""


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.org:70/",
        "ftp://example.org/",
        "//example.org/",
        "example.org",
        "https://",
        "https://user@example.org/",
        "https://user:pw@example.org/",
        "https://example.org:port/",
        "https://example.org:99999/",
        "https://example.org/\r\nX-Evil: 1",
        "https://exa mple.org/",
        "https://example.org\\@127.0.0.1/",
        "https://exa\u2028mple.org/",
        "https://exam%70le.org/",
        "https://[::1/",
        "http://127.0.0.1/",
        "http://[::1]:8080/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://8.8.8.8:6379/",
        "https://example.org/" + "x" * 2000,
    ],
)
def test_addresses_that_are_refused_when_they_are_typed(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_target(url)
    assert caught.value.field == "address"


def test_an_address_is_taken_apart() -> None:
    target = read_target("https://Bücher.example./a?b=c#d")
    assert (target.host, target.port, target.path) == ("xn--bcher-kva.example", 443, "/a?b=c")
    assert target.origin == "https://xn--bcher-kva.example"


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0", "localhost", "localhost.", "LOCALHOST"])
def test_other_ways_to_write_this_machine_are_refused_at_the_connection(host: str, receiver: HttpReceiver) -> None:
    with pytest.raises(CallFailed, match="no public address"):
        post(read_target(f"http://{host}:{receiver.port}/"), b"{}", {})
    assert receiver.got == []


def test_a_body_arrives_and_only_the_status_comes_back(receiver: HttpReceiver, settings: Settings) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    receiver.statuses, receiver.answer = [418], b"the secret of the metadata service"
    assert post(read_target(f"{receiver.url}/hook?x=1"), b'{"a":1}', {"X-Mine": "yes"}) == 418
    (got,) = receiver.got
    assert (got.path, got.body, got.headers["X-Mine"]) == ("/hook?x=1", b'{"a":1}', "yes")
    assert got.headers["Host"] == f"127.0.0.1:{receiver.port}"


def test_redirects_are_not_followed(receiver: HttpReceiver, settings: Settings) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    receiver.statuses, receiver.headers = [307], {"Location": f"{receiver.url}/inside"}
    assert post(read_target(f"{receiver.url}/hook"), b"{}", {}) == 307
    assert [got.path for got in receiver.got] == ["/hook"]


def test_a_name_is_looked_up_once_and_each_of_its_addresses_judged(
    receiver: HttpReceiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers otherwise the second time gains nothing: there is no second time."""
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    answers = iter([[(*stream, ("10.0.0.1", receiver.port)), (*stream, ("127.0.0.1", receiver.port))]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: next(answers))
    assert post(read_target(f"http://rebinding.example:{receiver.port}/"), b"{}", {}) == 204
    assert receiver.got[0].headers["Host"] == f"rebinding.example:{receiver.port}"


def test_a_long_answer_is_not_read_to_its_end(settings: Settings) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    with _peer(b"HTTP/1.1 200 OK\r\n\r\n", then=b"x" * 65536, times=2000) as (port, sent):
        assert post(read_target(f"http://127.0.0.1:{port}/"), b"{}", {}) == 200
    assert sent[0] < 2000


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-Drip: "], ids=["silent", "a header without end"])
def test_a_peer_that_drips_is_cut_off(settings: Settings, start: bytes) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    settings.LIMITS = {**settings.LIMITS, "egress_seconds": 1}
    dripping = _peer(start, then=b"x" if start else b"", times=1000, pause=0.05)
    with dripping as (port, sent), pytest.raises(CallFailed, match="did not answer within 1 s"):
        post(read_target(f"http://127.0.0.1:{port}/"), b"{}", {})
    assert sent[0] < 1000


def test_nobody_there_is_said(settings: Settings) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CallFailed, match="refuses connections"):
        post(read_target(f"http://127.0.0.1:{port}/"), b"{}", {})
    with pytest.raises(CallFailed, match="There is no host"):
        post(read_target("http://nobody.invalid/"), b"{}", {})


def test_what_is_no_web_server_is_said(settings: Settings) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    with _peer(b"-ERR unknown command 'POST'\r\n", then=b"", times=1) as (port, _):
        with pytest.raises(CallFailed, match="did not answer as a web server does"):
            post(read_target(f"http://127.0.0.1:{port}/"), b"{}", {})
        with pytest.raises(CallFailed, match="does not speak TLS"):
            post(read_target(f"https://127.0.0.1:{port}/"), b"{}", {})


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path, settings: Settings) -> None:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    secured = _peer(b"HTTP/1.1 200 OK\r\n\r\n", then=b"", times=1, context=context)
    with secured as (port, _), pytest.raises(CallFailed, match="certificate of 127.0.0.1 is not good"):
        post(read_target(f"https://127.0.0.1:{port}/"), b"{}", {})


def test_the_setting_is_loud_on_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WFLO_ALLOW_PRIVATE_EGRESS", "10.0.0.0/8, fd00::/8")
    assert env_networks("WFLO_ALLOW_PRIVATE_EGRESS") == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    monkeypatch.setenv("WFLO_ALLOW_PRIVATE_EGRESS", "everything")
    with pytest.raises(Exception, match="Give networks such as"):
        env_networks("WFLO_ALLOW_PRIVATE_EGRESS")


class _peer:
    """A peer on a plain socket: says ``start``, then ``then`` again and again until its other side is gone."""

    def __init__(
        self, start: bytes, *, then: bytes, times: int, pause: float = 0, context: ssl.SSLContext | None = None
    ) -> None:
        self._start, self._then, self._times, self._pause, self._context = start, then, times, pause, context
        self._gone = threading.Event()
        self._sent = [0]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> tuple[int, list[int]]:
        self._thread.start()
        return self._listener.getsockname()[1], self._sent

    def __exit__(self, *_: object) -> None:
        self._gone.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(sock, server_side=True) if self._context else sock as said:
                    said.recv(65536)
                    said.sendall(self._start)
                    while self._sent[0] < self._times and not self._gone.wait(self._pause):
                        said.sendall(self._then)
                        self._sent[0] += 1
            except OSError:
                continue
