"""What is stored about an API key, and its digest. The form of a key is in ``hokusai.apikey``."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from hokusai import apikey, errors
from hokusai.apikey import Environment, Key, mint, random_text
from hokusai.identity import Permission

__all__ = [
    "Environment",
    "Grant",
    "Key",
    "KeyRecord",
    "Network",
    "digest",
    "is_id",
    "mint",
    "mint_id",
    "now",
    "parse",
    "parse_instant",
    "parse_network",
]

Network = IPv4Network | IPv6Network

_ID = re.compile(r"key_[0-9A-Za-z]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a key grants: who it acts for, what it may do, from where, and until when.

    ``workspace`` is None for a platform key. An empty ``allow_ips`` allows every address. A rate of None means the
    server's default.
    """

    name: str
    user_id: str
    workspace: str | None = None
    permissions: frozenset[Permission] = frozenset()
    service_id: str = "platform"
    environment: Environment = "live"
    rate_limit_per_hour: int | None = None
    allow_ips: tuple[Network, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord(Grant):
    """A key as it is stored: everything except the key itself."""

    id: str
    hint: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    rotated_to: str | None = None

    def grant(self) -> Grant:
        return Grant(**{each.name: getattr(self, each.name) for each in fields(Grant)})

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """After a rotation, a key counts as revoked once its overlap has ended."""
        over = self.expires_at is not None and self.expires_at <= now
        if self.revoked_at is not None or (over and self.rotated_to is not None):
            return "revoked"
        return "expired" if over else "active"


def parse(text: str) -> Key | errors.KeyMalformed:
    """The key that ``text`` is, or the refusal."""
    parsed = apikey.parse(text)
    return errors.KeyMalformed(reason=parsed.reason) if isinstance(parsed, apikey.Malformed) else parsed


def mint_id() -> str:
    return "key_" + random_text(16)


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def digest(key: Key, pepper: bytes) -> bytes:
    """What is stored and looked up in place of the key: HMAC-SHA-256 (RFC 2104). 32 bytes.

    One fast hash is enough: a key has 190 random bits, so key stretching would add nothing.
    """
    return hmac.digest(pepper, key.text.encode("ascii"), "sha256")


def parse_network(text: str) -> Network:
    """A network in CIDR notation, or one address. Raises ``ValueError`` with the reason."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError("write an IPv4 network in IPv4 notation")
    return network


def parse_instant(text: str) -> datetime:
    """A time in ISO 8601 with an offset, converted to UTC. Raises ``ValueError`` with the reason."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("write a time in ISO 8601 with an offset, for example 2030-01-31T12:00:00Z")


def now() -> datetime:
    return datetime.now(UTC)


_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses as IPv6 sockets show them (RFC 4291, 2.5.5.2)
