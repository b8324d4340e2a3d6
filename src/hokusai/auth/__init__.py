"""Keys, workspaces and usage.

The gateway asks an ``Authenticator``: a ``LocalAuthenticator`` answers from a ``KeyStore`` (``key_check.py`` decides),
a ``RemoteAuthenticator`` asks a separate auth service, which is ``hokusai.auth.api`` on another server.
"""

from hokusai.auth.authenticator import Authenticator
from hokusai.auth.expiries import KeyExpiries
from hokusai.auth.keys import Environment
from hokusai.auth.local import LocalAuthenticator
from hokusai.auth.remote import RemoteAuthenticator
from hokusai.auth.store import KeyStore, create_operator_key, fingerprint, import_key

__all__ = [
    "Authenticator",
    "Environment",
    "KeyExpiries",
    "KeyStore",
    "LocalAuthenticator",
    "RemoteAuthenticator",
    "create_operator_key",
    "fingerprint",
    "import_key",
]
