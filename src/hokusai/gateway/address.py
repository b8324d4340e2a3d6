"""The address that a request comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

from hokusai.gateway.exchange import headers

AddressOf = Callable[[Scope], str]
Network = IPv4Network | IPv6Network


def address_of(trusted: Sequence[Network]) -> AddressOf:
    """A function from a scope to the client's address.

    That is the peer, unless the peer is a proxy in ``trusted``: then it is the last hop in ``X-Forwarded-For``, which
    the proxy wrote. Earlier hops are what somebody sent to the proxy, and are never believed: also not from an address
    that is itself in ``trusted``, because a client may be in the same network as the proxies. The proxy counts as the
    client where its last hop is not an address.
    """
    is_proxy = within(trusted)

    def find(scope: Scope) -> str:
        peer: str = (scope.get("client") or ("unknown", 0))[0]
        peer = peer.removeprefix("::ffff:") if "." in peer else peer
        if not is_proxy(peer):
            return peer
        fields = headers(scope, b"x-forwarded-for")
        hop = fields[-1].rpartition(b",")[2].strip()[:_LONGEST].decode("latin-1") if fields else ""
        return peer if _parse(hop) is None else hop

    return find


def within(networks: Sequence[Network]) -> Callable[[str], bool]:
    """A function that tells whether an address is in one of ``networks``."""

    def find(text: str) -> bool:
        if not networks:
            return False
        address = _parse(text)
        return address is not None and any(address in network for network in networks)

    return find


#: The longest address in text: IPv6 with an IPv4 address at its end.
_LONGEST = 46


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """The address; an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) as IPv4; None for one with a zone."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found
