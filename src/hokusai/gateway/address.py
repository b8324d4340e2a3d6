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

    ``X-Forwarded-For`` is read from the right, past proxies in ``trusted``, and is ignored unless the peer is one of
    them. The first hop that is not trusted is the client. A hop that cannot be parsed ends the search.
    """

    def find(scope: Scope) -> str:
        peer: str = (scope.get("client") or ("unknown", 0))[0]
        peer = peer.removeprefix("::ffff:") if "." in peer else peer
        if not trusted or not _is_in(peer, trusted):
            return peer
        hops = ",".join(value.decode("latin-1") for value in headers(scope, b"x-forwarded-for")).split(",")
        for hop in reversed([part.strip() for part in hops if part.strip()]):
            if _parse(hop) is None:
                break
            peer = hop
            if not _is_in(hop, trusted):
                break
        return peer

    return find


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """The address; an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) as IPv4; None for one with a zone."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    address = _parse(text)
    return address is not None and any(address in network for network in networks)
