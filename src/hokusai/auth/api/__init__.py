"""The auth service's HTTP API: keys, workspaces, usage, validation and the audit trail under ``/api/v1``.

``app.py`` builds the ASGI app. ``responses.py`` has what the endpoints share; every other module is one resource.
"""

from hokusai.auth.api.app import audit_service, auth_service

__all__ = ["audit_service", "auth_service"]
