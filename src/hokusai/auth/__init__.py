"""Keys, workspaces and usage.

``Authenticator`` is what the gateway asks: ``LocalAuthenticator`` answers from a ``KeyStore``,
``RemoteAuthenticator`` from a separate auth service, which is ``hokusai.auth.api`` on another server.
"""

from hokusai.auth.authenticator import Authenticator
from hokusai.auth.keys import Environment
from hokusai.auth.local import LocalAuthenticator
from hokusai.auth.remote import RemoteAuthenticator
from hokusai.auth.store import KeyStore, fingerprint, first_key, given_key

__all__ = [
    "Authenticator",
    "Environment",
    "KeyStore",
    "LocalAuthenticator",
    "RemoteAuthenticator",
    "fingerprint",
    "first_key",
    "given_key",
]
