from __future__ import annotations

import pytest

from hokusai.auth.key_check import allowed, is_address
from hokusai.auth.keys import parse_network

NETWORKS = (parse_network("192.0.2.0/24"), parse_network("2001:db8::/32"))


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"])
def test_addresses_inside(address: str) -> None:
    assert allowed(address, NETWORKS)


@pytest.mark.parametrize(
    "address", ["192.0.3.7", "::ffff:192.0.3.7", "2001:db9::1", "", None, "testclient", "192.0.2.7/32", "٣.0.2.7"]
)
def test_addresses_outside(address: str | None) -> None:
    assert not allowed(address, NETWORKS)


def test_what_an_address_is() -> None:
    assert is_address("::1%lo")
    assert not is_address("localhost")
