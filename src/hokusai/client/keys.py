"""API keys, over the auth service (``/api/v1/keys``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from hokusai.client import values
from hokusai.client.connection import Connection
from hokusai.client.values import Key, NewKey, RevokedKey

_KEYS = "/api/v1/keys"


class Keys:
    """Creates, shows, rotates and revokes keys, as far as the caller's own key allows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        name: str,
        *,
        workspace: str | None = None,
        permissions: Iterable[str] = ("write",),
        expires: str | None = None,
        user_id: str | None = None,
        service_id: str | None = None,
        rate: str | None = None,
        allow_ips: Iterable[str] = (),
        environment: str | None = None,
    ) -> NewKey:
        """A new key, whose secret is in the answer and nowhere else.

        ``workspace`` None means the caller's own; for an operator, a platform key. ``permissions`` are permissions or
        sets (``read``, ``write``, ``admin``), ``expires`` is like ``90d``, ``rate`` like ``1000/h``, ``allow_ips`` are
        addresses or networks, and ``user_id`` is the user that the key belongs to. Where an argument is None, the value
        of the caller's key applies. A key never creates one stronger than itself (403).
        """
        requested = {
            "name": name,
            "workspace": workspace,
            "permissions": list(permissions),
            "expires": expires,
            "user_id": user_id,
            "service_id": service_id,
            "rate": rate,
            "allow_ips": list(allow_ips),
            "environment": environment,
        }
        return self._connection.ask("POST", _KEYS, values.new_key, body=_given(requested))

    def list(self, workspace: str | None = None, *, created_by: str | None = None) -> tuple[Key, ...]:
        """Every key that the caller may see, or those of one workspace, or those that one key has made (by its id)."""
        query = _given({"workspace": workspace, "created_by": created_by})
        return tuple(self._connection.pages(_KEYS, "keys", values.key, query))

    def get(self, key_id: str) -> Key:
        return self._connection.ask("GET", _path(key_id), values.key)

    def find(self, key: str) -> Key:
        """The facts of a key that is at hand, such as one that has leaked. Its text is sent in the body."""
        return self._connection.ask("POST", f"{_KEYS}/find", values.key, body={"key": key}, idempotent=True)

    def self(self) -> Key:
        """The facts of the key that this client uses."""
        return self._connection.ask("GET", f"{_KEYS}/self", values.key)

    def rotate(
        self,
        key_id: str,
        *,
        overlap: str | None = None,
        expires: str | None = None,
        yes_lock_me_out: bool = False,
    ) -> NewKey:
        """A new key with the same rights. The old one keeps working for ``overlap``, such as ``24h``, the default.

        ``expires`` is how long the new key works, such as ``90d``; None: until the old one would have expired.
        Raises ``ApiError`` (409) where the last operator key would end earlier, unless ``yes_lock_me_out``.
        """
        body = _given({"overlap": overlap, "expires": expires, "yes_lock_me_out": yes_lock_me_out or None})
        return self._connection.ask("POST", f"{_path(key_id)}/rotate", values.new_key, body=body)

    def revoke(self, key_id: str, *, with_descendants: bool = False, yes_lock_me_out: bool = False) -> RevokedKey:
        """Refuse the key from now on: at once in this server, within 2 seconds in others.

        ``with_descendants`` also revokes the keys made by it, those made by these, and so on. Raises ``ApiError`` (409)
        where no operator key would be left, unless ``yes_lock_me_out``.
        """
        flags = {"with_descendants": with_descendants, "yes_lock_me_out": yes_lock_me_out}
        query = {name: "true" for name, flag in flags.items() if flag}
        return self._connection.ask("DELETE", _path(key_id), values.revoked_key, query=query)


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _path(key_id: str) -> str:
    return f"{_KEYS}/{quote(key_id, safe='')}"
