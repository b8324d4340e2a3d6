from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hokusai import errors
from hokusai.auth.escalation import excess, inherited
from hokusai.auth.keys import Grant, parse_network
from hokusai.identity import PERMISSION_SETS, Permission

SOON = datetime(2030, 1, 1, tzinfo=UTC)
LATER = SOON + timedelta(days=1)
OFFICE = (parse_network("192.0.2.0/24"), parse_network("2001:db8::/32"))
CREATOR = Grant(
    name="creator",
    user_id="ada",
    workspace="acme",
    permissions=PERMISSION_SETS["write"] | {Permission.KEYS_WRITE},
    rate_limit_per_hour=1000,
    allow_ips=OFFICE,
    expires_at=SOON,
)
FREE = replace(CREATOR, rate_limit_per_hour=None, allow_ips=(), expires_at=None)
DEFAULT_RATE = 5000


OPERATOR = Grant(name="op", user_id="op", permissions=PERMISSION_SETS["operator"])
ISSUER = replace(CREATOR, workspace=None)


def refused(asked: Grant, creator: Grant) -> bool:
    found = excess(asked, creator, default_rate=DEFAULT_RATE)
    assert found is None or isinstance(found, errors.KeyEscalation)
    return found is not None


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"permissions": frozenset({Permission.RUNS_READ})},
        {"permissions": frozenset()},
        {"expires_at": SOON - timedelta(seconds=1)},
        {"rate_limit_per_hour": 1},
        {"allow_ips": (parse_network("192.0.2.7"),)},
        {"allow_ips": (parse_network("2001:db8:1::/48"), parse_network("192.0.2.128/25"))},
    ],
)
def test_as_strong_or_weaker_is_allowed(change: dict[str, object]) -> None:
    assert not refused(replace(CREATOR, **change), CREATOR)


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": "other"},
        {"user_id": "grace"},
        {"workspace": None},
        {"permissions": CREATOR.permissions | {Permission.MODELS_DELETE}},
        {"permissions": PERMISSION_SETS["operator"]},
        {"permissions": frozenset({Permission.KEYS_VALIDATE})},
        {"expires_at": None},
        {"expires_at": LATER},
        {"expires_at": SOON + timedelta(microseconds=1)},
        {"rate_limit_per_hour": None},
        {"rate_limit_per_hour": 1001},
        {"service_id": "other"},
        {"environment": "test"},
        {"allow_ips": ()},
        {"allow_ips": (parse_network("0.0.0.0/0"),)},
        {"allow_ips": (parse_network("192.0.2.0/23"),)},
        {"allow_ips": (parse_network("192.0.2.7"), parse_network("203.0.113.7"))},
        {"allow_ips": (parse_network("::/0"),)},
    ],
)
def test_stronger_is_refused(change: dict[str, object]) -> None:
    assert refused(replace(CREATOR, **change), CREATOR)


@pytest.mark.parametrize(("rate", "too_much"), [(None, False), (5000, False), (5001, True)])
def test_the_default_rate_binds_a_key_without_its_own(rate: int | None, too_much: bool) -> None:
    assert refused(replace(FREE, rate_limit_per_hour=rate), FREE) is too_much


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"workspace": "acme", "permissions": PERMISSION_SETS["admin"]},
        {"service_id": "other", "environment": "test"},
        {"rate_limit_per_hour": 100 * DEFAULT_RATE},
        {"workspace": "acme", "permissions": PERMISSION_SETS["write"], "rate_limit_per_hour": 100 * DEFAULT_RATE},
        {"allow_ips": OFFICE, "expires_at": SOON},
    ],
)
def test_the_first_key_may_make_anything(change: dict[str, object]) -> None:
    assert not refused(replace(OPERATOR, **change), OPERATOR)


@pytest.mark.parametrize(
    "change", [{}, {"workspace": "acme"}, {"workspace": "other"}, {"service_id": "other"}, {"environment": "test"}]
)
def test_a_platform_key_makes_keys_for_everywhere(change: dict[str, object]) -> None:
    assert not refused(replace(ISSUER, **change), ISSUER)


@pytest.mark.parametrize("workspace", [None, "acme"])
@pytest.mark.parametrize(
    "change",
    [
        {"permissions": PERMISSION_SETS["operator"]},
        {"permissions": PERMISSION_SETS["admin"]},
        {"permissions": frozenset({Permission.WORKSPACES_WRITE})},
        {"expires_at": None},
        {"expires_at": LATER},
        {"rate_limit_per_hour": None},
        {"rate_limit_per_hour": 1001},
        {"allow_ips": ()},
        {"allow_ips": (parse_network("0.0.0.0/0"),)},
    ],
)
def test_a_platform_key_makes_nothing_stronger(workspace: str | None, change: dict[str, object]) -> None:
    assert refused(replace(ISSUER, workspace=workspace, **change), ISSUER)


def test_keys_write_alone_makes_no_operator() -> None:
    alone = replace(OPERATOR, permissions=frozenset({Permission.KEYS_WRITE}))
    assert refused(OPERATOR, alone)
    assert not refused(alone, alone)


@pytest.mark.parametrize("creator", [CREATOR, ISSUER], ids=["workspace", "platform"])
def test_what_is_not_asked_for_is_the_creators_bound(creator: Grant) -> None:
    asked = inherited(replace(FREE, permissions=frozenset({Permission.RUNS_READ})), creator)
    assert (asked.expires_at, asked.rate_limit_per_hour, asked.allow_ips) == (SOON, 1000, OFFICE)
    assert not refused(asked, creator)
