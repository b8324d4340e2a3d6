"""A key never creates a key stronger than itself, nor rotates one that it could not create.

A platform key may create keys for every workspace, user, service and environment. It is bound in everything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from hokusai import errors
from hokusai.auth.keys import Grant, Network


def inherited(requested: Grant, creator: Grant) -> Grant:
    """``requested``, with the creator's own limit where none was requested."""
    return replace(
        requested,
        expires_at=requested.expires_at or creator.expires_at,
        rate_limit_per_hour=requested.rate_limit_per_hour or creator.rate_limit_per_hour,
        allow_ips=requested.allow_ips or creator.allow_ips,
    )


def excess(requested: Grant, creator: Grant, *, default_rate: int) -> errors.KeyEscalation | None:
    """What ``requested`` has beyond ``creator``, or None.

    ``default_rate`` (requests an hour) applies to a workspace's key without a rate of its own, and so to the keys
    that such a key creates.
    """
    reason = next(_reasons(requested, creator, default_rate), None)
    return errors.KeyEscalation(reason=reason) if reason else None


def _reasons(requested: Grant, creator: Grant, default_rate: int) -> Iterator[str]:
    if creator.workspace is not None:
        yield from _outside(requested, creator)
    if lacking := sorted(requested.permissions - creator.permissions):
        yield f"your key lacks {', '.join(lacking)}"
    if creator.expires_at and (requested.expires_at is None or requested.expires_at > creator.expires_at):
        yield f"your key expires on {creator.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if _rate(requested, default_rate) > (rate := _rate(creator, default_rate)):
        yield f"the rate of your key is {rate:.0f} an hour"
    if creator.allow_ips and not _all_within(requested.allow_ips, creator.allow_ips):
        yield "your key may be used only from other networks"


def _outside(requested: Grant, creator: Grant) -> Iterator[str]:
    if requested.workspace != creator.workspace:
        yield "your key is limited to its own workspace"
    if requested.user_id != creator.user_id:
        yield f"it makes keys only for its own user, {creator.user_id!r}"
    if requested.service_id != creator.service_id:
        yield f"it is for the service {creator.service_id!r}"
    if requested.environment != creator.environment:
        yield f"it is a {creator.environment} key"


def _rate(grant: Grant, default: int) -> float:
    """Requests an hour. A platform key without a rate has no limit."""
    return grant.rate_limit_per_hour or (math.inf if grant.workspace is None else default)


def _all_within(requested: tuple[Network, ...], limits: tuple[Network, ...]) -> bool:
    return bool(requested) and all(any(_within(one, limit) for limit in limits) for one in requested)


def _within(one: Network, limit: Network) -> bool:
    return one.version == limit.version and one.subnet_of(limit)  # type: ignore[arg-type]
