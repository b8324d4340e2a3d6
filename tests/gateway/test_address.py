"""The client's address: that of the peer, unless a trusted proxy names another one."""

from ipaddress import ip_network

import pytest

from hokusai.gateway import address_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9", "1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4, 10.0.0.7"], "10.0.0.7"),  # a client in the proxies' network, who invents an address
        ("10.0.0.1", ["1.2.3.4", "10.0.0.7, 10.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4,"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4", ""], "10.0.0.1"),
        ("10.0.0.1", ["not-an-address"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, evil\r\nx: y"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::1", ["2001:db8::7"], "2001:db8::7"),
        ("::1", ["fe80::1%" + "A" * 200], "::1"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("::ffff:203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
    ],
)
def test_the_last_hop_of_a_proxy_that_is_listed_counts(peer: str, forwarded: list[str], expected: str) -> None:
    assert address_of(PROXIES)(scope(peer, *forwarded)) == expected


def test_without_trusted_proxies_the_header_says_nothing() -> None:
    assert address_of([])(scope("10.0.0.1", "1.2.3.4")) == "10.0.0.1"
