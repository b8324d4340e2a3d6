"""The audit trail: every request that changed something, read what is recorded or was refused, and how it ended.

The outermost layer of the gateway (``gateway/audit.py``) makes an ``Entry`` (``entry.py``) for each. The row of a
change is there before its answer: in the transaction that makes the change (``recording.py``), or before and after it
(``changes.py``). ``AuditTrail`` (``trail.py``) writes the lines, and the rows of everything else, a little later; what
comes in floods is merged (``merging.py``). ``Retention``
(``retention.py``) deletes old rows, and ``AuditSearch`` (``search.py``) finds rows by index.
"""

from hokusai.audit.changes import Changes
from hokusai.audit.entry import Entry
from hokusai.audit.recording import RECORDING, Recording, recording_of, write
from hokusai.audit.retention import Retention
from hokusai.audit.search import AuditSearch, Filter, Position, Record
from hokusai.audit.trail import AuditTrail, Merge

__all__ = [
    "RECORDING",
    "AuditSearch",
    "AuditTrail",
    "Changes",
    "Entry",
    "Filter",
    "Merge",
    "Position",
    "Record",
    "Recording",
    "Retention",
    "recording_of",
    "write",
]
