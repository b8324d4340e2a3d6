"""Every fault that can be named, with the evidence that points to it. One documentation page is made from each.

Where two faults have the same confidence, the one that comes first here is named first.
"""

from __future__ import annotations

from collections.abc import Mapping

from hokusai.doctor.faults import (
    admission,
    artifacts,
    auth,
    client,
    database,
    gateway,
    keys,
    network,
    proxy,
    release,
    routing,
    tracking,
    upstream,
)
from hokusai.doctor.faults.evidence import ANY, Rule, When
from hokusai.doctor.faults.fault import Fault
from hokusai.doctor.faults.unexplained import UNEXPLAINED

__all__ = ["ANY", "FAULTS", "RULES", "UNEXPLAINED", "Fault", "Rule", "When"]

#: From the network to what is furthest behind it.
_MODULES = (
    network,
    client,
    routing,
    upstream,
    proxy,
    auth,
    keys,
    artifacts,
    gateway,
    database,
    tracking,
    admission,
    release,
)

FAULTS: Mapping[str, Fault] = {
    fault.id: fault for fault in (*(fault for module in _MODULES for fault in module.FAULTS), UNEXPLAINED)
}

RULES: tuple[Rule, ...] = tuple(rule for fault in FAULTS.values() for rule in fault.rules)
