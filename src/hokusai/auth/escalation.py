"""A key never makes a key stronger than itself.

A platform key makes keys for every workspace, service and environment; it is bound in all the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from hokusai import errors
from hokusai.auth.keys import Grant, Network


def inherited(asked: Grant, creator: Grant) -> Grant:
    """``asked`` with the creator's bound where nothing was asked for."""
    return replace(
        asked,
        expires_at=asked.expires_at or creator.expires_at,
        rate_limit_per_hour=asked.rate_limit_per_hour or creator.rate_limit_per_hour,
        allow_ips=asked.allow_ips or creator.allow_ips,
    )


def excess(asked: Grant, creator: Grant, *, default_rate: int) -> errors.KeyEscalation | None:
    """What ``asked`` has beyond ``creator``, or None.

    ``default_rate`` (requests an hour) binds a workspace's key without a rate of its own, so it binds
    what such a key makes.
    """
    reason = next(_reasons(asked, creator, default_rate), None)
    return errors.KeyEscalation(reason=reason) if reason else None


def _reasons(asked: Grant, creator: Grant, default_rate: int) -> Iterator[str]:
    if creator.workspace is not None:
        yield from _elsewhere(asked, creator)
    if lacking := sorted(asked.permissions - creator.permissions):
        yield f"it lacks {', '.join(lacking)}"
    if creator.expires_at and (asked.expires_at is None or asked.expires_at > creator.expires_at):
        yield f"it expires on {creator.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if _rate(asked, default_rate) > (rate := _rate(creator, default_rate)):
        yield f"its rate is {rate:.0f} an hour"
    if creator.allow_ips and not _all_within(asked.allow_ips, creator.allow_ips):
        yield "its own addresses are limited to other networks"


def _elsewhere(asked: Grant, creator: Grant) -> Iterator[str]:
    if asked.workspace != creator.workspace:
        yield "it acts only in its own workspace"
    if asked.service_id != creator.service_id:
        yield f"it is for the service {creator.service_id!r}"
    if asked.environment != creator.environment:
        yield f"it is a {creator.environment} key"


def _rate(grant: Grant, default: int) -> float:
    """Requests an hour. A platform key without a rate has no limit."""
    return grant.rate_limit_per_hour or (math.inf if grant.workspace is None else default)


def _all_within(asked: tuple[Network, ...], bounds: tuple[Network, ...]) -> bool:
    return bool(asked) and all(any(_within(one, bound) for bound in bounds) for one in asked)


def _within(one: Network, bound: Network) -> bool:
    return one.version == bound.version and one.subnet_of(bound)  # type: ignore[arg-type]
