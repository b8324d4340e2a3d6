"""A key never makes a key stronger than itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hokusai import errors
from hokusai.auth.keys import Grant, Network
from hokusai.identity import Permission


def is_operator(creator: Grant) -> bool:
    """A platform key with ``keys:write`` is bound by nothing: it stands for the operator."""
    return creator.workspace is None and Permission.KEYS_WRITE in creator.permissions


def inherited(asked: Grant, creator: Grant) -> Grant:
    """``asked`` with the creator's bound where nothing was asked for."""
    if is_operator(creator):
        return asked
    return replace(
        asked,
        expires_at=asked.expires_at or creator.expires_at,
        rate_limit_per_hour=asked.rate_limit_per_hour or creator.rate_limit_per_hour,
        allow_ips=asked.allow_ips or creator.allow_ips,
    )


def excess(asked: Grant, creator: Grant, *, default_rate: int) -> errors.KeyEscalation | None:
    """What ``asked`` has beyond ``creator``, or None.

    ``default_rate`` (requests an hour) binds a key without a rate of its own, so it binds what such
    a key makes.
    """
    if is_operator(creator):
        return None
    reason = next(_reasons(asked, creator, default_rate), None)
    return errors.KeyEscalation(reason=reason) if reason else None


def _reasons(asked: Grant, creator: Grant, default_rate: int) -> Iterator[str]:
    if asked.workspace != creator.workspace:
        yield "it acts in its own workspace alone"
    if lacking := sorted(asked.permissions - creator.permissions):
        yield f"it lacks {', '.join(lacking)}"
    if creator.expires_at and (asked.expires_at is None or asked.expires_at > creator.expires_at):
        yield f"it expires on {creator.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if (asked.rate_limit_per_hour or default_rate) > (creator.rate_limit_per_hour or default_rate):
        yield f"its rate is {creator.rate_limit_per_hour or default_rate} an hour"
    if asked.service_id != creator.service_id:
        yield f"it is for the service {creator.service_id!r}"
    if asked.environment != creator.environment:
        yield f"it is a {creator.environment} key"
    if creator.allow_ips and not _all_within(asked.allow_ips, creator.allow_ips):
        yield "its own addresses are limited to other networks"


def _all_within(asked: tuple[Network, ...], bounds: tuple[Network, ...]) -> bool:
    return bool(asked) and all(any(_within(one, bound) for bound in bounds) for one in asked)


def _within(one: Network, bound: Network) -> bool:
    return one.version == bound.version and one.subnet_of(bound)  # type: ignore[arg-type]
