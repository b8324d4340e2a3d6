"""The API key: its form, its digest, and what is written down about it.

``hk_live_`` or ``hk_test_``, 32 base62 characters of randomness (190 bits), and 6 base62 characters
of the CRC-32 of all that stands before. So a mistyped or made-up key is refused without a look-up,
and a secret scanner can tell a real one.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from hokusai import errors
from hokusai.identity import Permission

Environment = Literal["live", "test"]
Network = IPv4Network | IPv6Network

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS = [first + second for first in _BASE62 for second in _BASE62]
_FORM = re.compile(r"hk_(live|test)_[0-9A-Za-z]{38}")
_ID = re.compile(r"key_[0-9A-Za-z]{16}")
_LENGTH = 46
_HINT_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Key:
    """A key whose form and checksum are right. The text is kept out of ``repr``."""

    text: str = field(repr=False)
    environment: str

    @property
    def hint(self) -> str:
        """The first characters, by which people recognise their key; 166 bits stay unknown."""
        return self.text[:_HINT_LENGTH]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a key is worth: who it acts for, what it may do, where from and until when.

    ``workspace`` is None for a platform key. An empty ``allow_ips`` allows every address; a rate of
    None means the server's default.
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
    """A key as the store knows it: everything but the key."""

    id: str
    hint: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    rotated_to: str | None = None

    def grant(self) -> Grant:
        return Grant(**{each.name: getattr(self, each.name) for each in fields(Grant)})

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """A key whose overlap after a rotation is over counts as revoked."""
        over = self.expires_at is not None and self.expires_at <= now
        if self.revoked_at is not None or (over and self.rotated_to is not None):
            return "revoked"
        return "expired" if over else "active"


def mint(environment: Environment) -> Key:
    """A new key from the system's random source."""
    before = f"hk_{environment}_" + _random(32)
    return Key(before + _checksum(before), environment)


def mint_id() -> str:
    return "key_" + _random(16)


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def parse(text: str) -> Key | errors.KeyMalformed:
    """The key that ``text`` is, or why it is none. The reason repeats nothing of the text."""
    form = _FORM.fullmatch(text)
    if form is None:
        return errors.KeyMalformed(reason=_misfit(text))
    if text[-6:] != _checksum(text[:-6]):
        return errors.KeyMalformed(reason="the checksum does not fit, so at least one character is wrong")
    return Key(text, form[1])


def digest(key: Key, pepper: bytes) -> bytes:
    """What is stored and looked up in the key's place: HMAC-SHA-256 (RFC 2104). 32 bytes.

    A key has 190 random bits, so one fast hash is right: there is nothing to stretch.
    """
    return hmac.digest(pepper, key.text.encode("ascii"), "sha256")


def parse_network(text: str) -> Network:
    """A network in CIDR notation, or one address. Raises ``ValueError`` with the reason."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError("write an IPv4 network in IPv4 notation")
    return network


def parse_instant(text: str) -> datetime:
    """A time in ISO 8601 with its offset, in UTC. Raises ``ValueError`` with the reason."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("write a time in ISO 8601 with its offset, for example 2030-01-31T12:00:00Z")


def now() -> datetime:
    return datetime.now(UTC)


_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses as IPv6 sockets show them (RFC 4291, 2.5.5.2)


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(before: str) -> str:
    number = zlib.crc32(before.encode("ascii"))
    return _PAIRS[number // 3844**2] + _PAIRS[number // 3844 % 3844] + _PAIRS[number % 3844]


def _misfit(text: str) -> str:
    if not text.startswith(("hk_live_", "hk_test_")):
        return "it does not start with hk_live_ or hk_test_"
    if len(text) != _LENGTH:
        return f"it has {len(text)} characters instead of {_LENGTH}"
    return "it holds a character that is neither a letter nor a digit"
