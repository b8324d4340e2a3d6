"""Whether a key may be used here and now: a pure decision on what the store knows about it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from hokusai import errors
from hokusai.auth.keys import KeyRecord, Network, now
from hokusai.identity import Principal

#: In messages, where the caller did not name an address.
NO_ADDRESS = "an address that was not stated"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """The result of one look-up: the key, its principal, and whether its workspace is suspended."""

    record: KeyRecord
    principal: Principal
    suspended: bool


def check_key(
    found: FoundKey | None, *, service_id: str, environments: Set[str], address: str | None
) -> Principal | errors.Denied:
    """The principal, or the refusal. With ``address`` None, a key with an address list is refused."""
    if found is None:
        return errors.KeyUnknown()
    refusal = (
        _ended(found.record)
        or _suspended(found)
        or _wrong_service(found.record, service_id, environments)
        or _wrong_address(found.record, address)
    )
    if refusal is None:
        return found.principal
    refusal.key_id = found.record.id  # for the rate limit of failed attempts
    return refusal


def expired(at: datetime) -> errors.KeyExpired:
    return errors.KeyExpired(expired_at=f"{at:%Y-%m-%d %H:%M:%S} UTC")


def is_address(text: str) -> bool:
    return _address(text) is not None


def allowed(address: str | None, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of the networks. Text that is not an IP address is in none."""
    parsed = _address(address or "")
    return parsed is not None and any(parsed in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


def _ended(record: KeyRecord) -> errors.Denied | None:
    if record.revoked_at is None and record.expires_at is None:
        return None
    state = record.state(now())
    if state == "revoked":
        return errors.KeyRevoked()
    return expired(record.expires_at) if state == "expired" and record.expires_at else None


def _suspended(found: FoundKey) -> errors.Denied | None:
    return errors.WorkspaceSuspended(workspace=str(found.record.workspace)) if found.suspended else None


def _wrong_service(record: KeyRecord, service_id: str, environments: Set[str]) -> errors.Denied | None:
    if record.service_id != service_id:
        return errors.ServiceMismatch(issued_for=record.service_id, used_at=service_id)
    if record.environment not in environments:
        return errors.EnvironmentMismatch(environment=record.environment, accepted=", ".join(sorted(environments)))
    return None


def _wrong_address(record: KeyRecord, address: str | None) -> errors.Denied | None:
    if not record.allow_ips or allowed(address, record.allow_ips):
        return None
    return errors.AddressRefused(address=address or NO_ADDRESS)
