"""Which addresses this server may call for a team. Pure, and quick to import: the child that runs apprise has it too.

What is judged is the address of the connection itself, not the name it was found by, so a name that changes its mind
between look-up and connection gains nothing. Global addresses pass; others only when an operator allowed their network.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Shells, files, databases, brokers, control planes: nothing that takes an alert listens there.
PORTS_REFUSED = frozenset(
    {
        7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 37, 42, 43, 53, 69, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
        115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554,
        556, 563, 601, 636, 873, 989, 990, 993, 995, 1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369,
        5432, 5433, 5671, 5672, 5900, 5984, 6379, 6380, 6443, 7000, 7001, 9042, 9092, 9200, 9300, 10250, 10255, 11211,
        15672, 26257, 26379, 27017, 27018, 50000,
    }
)  # fmt: skip
_EMBEDS_V4 = IPv6Network("64:ff9b::/96")  # NAT64: the last 32 bits are the IPv4 address
_NOT_GLOBAL = tuple(
    map(
        ip_network,
        # Python's tables differ from version to version; these are refused by all of them.
        ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4", "::/96", "64:ff9b:1::/48",
         "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
         "fec0::/10"),
    )
)  # fmt: skip


def refusal(host: object, port: object, allowed: Iterable[Network] = ()) -> str:
    """Why a connection to this address must not be made, in one sentence; '' when it may."""
    try:
        address = real(ip_address(str(host).partition("%")[0]))
    except ValueError:
        return "A connection was about to be made to something that is no address."
    if port in PORTS_REFUSED:
        return f"Port {port} is never called: what listens there takes no alerts."
    if is_global(address) or any(address in network for network in allowed if network.version == address.version):
        return ""
    return (
        f"{address} is no public address. An operator can allow its network with WFLO_ALLOW_PRIVATE_EGRESS; "
        "until then nothing is sent there."
    )


def is_global(address: Address) -> bool:
    if address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global:
        return False
    return not any(address in network for network in _NOT_GLOBAL if network.version == address.version)


def real(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only wraps it, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _EMBEDS_V4:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
