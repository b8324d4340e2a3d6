"""The auth service's HTTP API: keys, workspaces, usage and validation under ``/api/v1``.

``app.py`` builds the ASGI app. ``responses.py`` has what the endpoints share; every other module is one resource.
"""

from hokusai.auth.api.app import auth_service

__all__ = ["auth_service"]
