"""The audit trail: every request that changed something or was refused, who sent it, and how it ended.

``AuditTrail`` (``trail.py``) writes a line and a row for each. The outermost layer of the gateway
(``gateway/audit.py``) decides which requests are recorded.
"""

from hokusai.audit.trail import AuditTrail

__all__ = ["AuditTrail"]
