"""The audit trail: what changed something or was refused, who asked for it, and how it ended.

``AuditTrail`` (``trail.py``) writes a line and a row for each. The gateway's outermost layer (``gateway/audit.py``)
decides what is noted.
"""

from hokusai.audit.trail import AuditTrail

__all__ = ["AuditTrail"]
