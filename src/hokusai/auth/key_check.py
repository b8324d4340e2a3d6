"""Is this key good, here and now? A pure decision over what the store knows."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from hokusai import errors
from hokusai.auth.keys import KeyRecord, Network, now
from hokusai.identity import Principal

#: Said in the address's place where the asker did not name one.
NO_ADDRESS = "an address that was not stated"


@dataclass(frozen=True, slots=True)
class Found:
    """What one look-up learned: the key, its principal, and whether its workspace is suspended."""

    record: KeyRecord
    principal: Principal
    suspended: bool


def judge(
    found: Found | None, *, service_id: str, environments: Set[str], address: str | None
) -> Principal | errors.HokusaiError:
    """The principal, or the refusal. ``address`` None passes only keys without an address list."""
    if found is None:
        return errors.KeyUnknown()
    refusal = (
        _over(found.record)
        or _suspended(found)
        or _elsewhere(found.record, service_id, environments)
        or _from_outside(found.record, address)
    )
    if refusal is None:
        return found.principal
    refusal.facts["key_id"] = found.record.id  # whose guesses these are
    return refusal


def expired(at: datetime) -> errors.KeyExpired:
    return errors.KeyExpired(expired_at=f"{at:%Y-%m-%d %H:%M:%S} UTC")


def is_address(text: str) -> bool:
    return _address(text) is not None


def allowed(address: str | None, networks: tuple[Network, ...]) -> bool:
    """Whether the address lies in one of the networks. What is no IP address lies in none."""
    parsed = _address(address or "")
    return parsed is not None and any(parsed in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


def _over(record: KeyRecord) -> errors.HokusaiError | None:
    if record.revoked_at is None and record.expires_at is None:
        return None
    state = record.state(now())
    if state == "revoked":
        return errors.KeyRevoked()
    return expired(record.expires_at) if state == "expired" and record.expires_at else None


def _suspended(found: Found) -> errors.HokusaiError | None:
    return errors.WorkspaceSuspended(workspace=found.record.workspace) if found.suspended else None


def _elsewhere(record: KeyRecord, service_id: str, environments: Set[str]) -> errors.HokusaiError | None:
    if record.service_id != service_id:
        return errors.ServiceMismatch(expected=record.service_id, asked=service_id)
    if record.environment not in environments:
        return errors.EnvironmentMismatch(environment=record.environment, accepted=", ".join(sorted(environments)))
    return None


def _from_outside(record: KeyRecord, address: str | None) -> errors.HokusaiError | None:
    if not record.allow_ips or allowed(address, record.allow_ips):
        return None
    return errors.AddressRefused(address=address or NO_ADDRESS)
