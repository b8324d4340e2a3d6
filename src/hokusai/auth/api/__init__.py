"""The auth service's HTTP API: keys, workspaces, usage and validation under ``/api/v1``.

``app.py`` builds the ASGI app; each other module is one resource, and ``responses.py`` has what they share.
"""

from hokusai.auth.api.app import auth_service

__all__ = ["auth_service"]
