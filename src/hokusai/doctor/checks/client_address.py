"""Group ``proxy``: which address the server takes the doctor for."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from hokusai.doctor.checks.keys import NO_OPERATOR_KEY, temporary_key
from hokusai.doctor.examination import (
    HOKUSAI_ONLY,
    Examination,
    Outcome,
    declare_check,
    failed,
    passed,
    skipped,
)
from hokusai.doctor.probe import Answer
from hokusai.mlflow_api import V2

Address = IPv4Address | IPv6Address

_MODELS = V2 + "/registered-models/search"
_ONE = {"max_results": "1"}
_ALLOWED = "192.0.2.1"  # RFC 5737: addresses for documentation, which nobody has
_INVENTED = "203.0.113.77"


@declare_check(
    id="client-address",
    title="The server sees the client's address",
    layer="proxy",
    group="proxy",
    needs=("bearer",),
    kinds=HOKUSAI_ONLY,
)
async def client_address(exam: Examination) -> Outcome:
    """Not the proxy's address, and not one that a client can invent. A key for another address makes the server say."""
    if not exam.target.operator_key or not exam.facts.workspace:
        return skipped(NO_OPERATOR_KEY, optional=True)
    key = await temporary_key(exam, exam.facts.workspace, permissions=["read"], allow_ips=[f"{_ALLOWED}/32"])
    if isinstance(key, Answer):
        return failed(key)
    url = exam.target.api + _MODELS
    found = await exam.probe.ask("GET", url, key=key, query=_ONE, headers={"X-Forwarded-For": _INVENTED})
    if found.code != "HK1203":
        return failed(found, note=f"a key that is only for {_ALLOWED} is accepted from here")
    seen = found.message.partition(" from ")[2].split(". ")[0].rstrip(".")
    if seen == _INVENTED:
        note = "the server believes an address that the client invented"
        return failed(found, note=note, symptoms=["address-made-up"])
    own = _own_addresses(exam.target.host, exam.target.port)
    if _contradicts(seen, own):
        note = f"this machine is {' or '.join(map(str, own))}, and the server sees {seen}"
        return failed(found, note=note, symptoms=["address-of-proxy"])
    return passed(note=f"the server sees {seen}")


def _own_addresses(host: str, port: int) -> list[Address]:
    """The addresses from which this machine connects to the host: one for each address that the host has."""
    own: dict[Address, None] = {}
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe, suppress(OSError):  # this machine may lack a route for one family
            probe.connect(address)  # sends nothing
            own[ip_address(str(probe.getsockname()[0]))] = None
    return list(own)


def _contradicts(seen: str, own: Sequence[Address]) -> bool:
    """Whether the server certainly sees somebody else."""
    try:
        theirs = ip_address(seen)
    except ValueError:
        return True
    theirs = getattr(theirs, "ipv4_mapped", None) or theirs
    comparable = [one for one in own if one.version == theirs.version] or own
    return theirs not in own and any(_tells_apart(theirs, one) for one in comparable)


def _tells_apart(theirs: Address, ours: Address) -> bool:
    """Behind NAT another address proves nothing, unless it is one that nobody outside can have."""
    return theirs.is_loopback == ours.is_loopback and (theirs.is_private or not ours.is_private)
