"""Who opens streams and does not read holds nobody else up, takes little memory, and is billed."""

from __future__ import annotations

import json
import socket

import psutil

from tests.tracking.gateway.conftest import Gateway, make_gateway
from tracking.models import LedgerEntry, Reservation
from wflo_site.processes import wait_until

READERS = 100
MEMORY_MAX = 150 * 2**20


def opened(gateway: Gateway) -> socket.socket:
    """A stream that is asked for and never read."""
    body = json.dumps({
        "model": "echo-long-drip", "messages": [{"role": "user", "content": "say it all"}], "max_tokens": 100, "stream": True,
    }).encode()  # fmt: skip
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((gateway.server.host, gateway.server.port))
    reader.sendall(head.encode() + body)
    return reader


def memory(gateway: Gateway) -> int:
    main = psutil.Process(gateway.server.process.pid)
    return sum(one.memory_info().rss for one in [main, *main.children(recursive=True)])


def test_slow_readers_hold_nobody_up_and_are_billed(gateway: Gateway) -> None:
    """B43"""
    gateway.budget("10")
    before = memory(gateway)
    readers = [opened(gateway) for _ in range(READERS)]
    other = make_gateway(gateway.server, gateway.provider, "Others")
    try:
        assert wait_until(lambda: Reservation.objects.filter(team=gateway.team, state=0).count() == READERS, seconds=30)
        with other.client:
            assert [other.chat(f"question {n}").status_code for n in range(20)] == [200] * 20
            other.at_rest()
        assert memory(gateway) - before < MEMORY_MAX
        assert wait_until(lambda: gateway.provider.busy == 0, seconds=60)
    finally:
        for reader in readers:
            reader.close()
    assert wait_until(lambda: not Reservation.objects.filter(team=gateway.team, state=0).exists(), seconds=30)
    assert LedgerEntry.objects.filter(team=gateway.team, usd__gt=0).count() == READERS
