"""The audit trail: every request that changed something, read what is recorded or was refused, and how it ended.

The outermost layer of the gateway (``gateway/audit.py``) makes an ``Entry`` (``entry.py``) for each. ``AuditTrail``
(``trail.py``) writes a line and a row for it; what comes in floods is merged (``merging.py``). ``Retention``
(``retention.py``) deletes old rows, and ``AuditSearch`` (``search.py``) finds rows by index.
"""

from hokusai.audit.entry import Entry
from hokusai.audit.retention import Retention
from hokusai.audit.search import AuditSearch, Filter, Position, Record
from hokusai.audit.trail import AuditTrail, Merge

__all__ = ["AuditSearch", "AuditTrail", "Entry", "Filter", "Merge", "Position", "Record", "Retention"]
