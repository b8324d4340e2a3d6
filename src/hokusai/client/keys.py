"""API keys, over the auth service (``/api/v1/keys``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from hokusai.client import values
from hokusai.client.connection import Connection
from hokusai.client.values import Key, NewKey

_KEYS = "/api/v1/keys"


class Keys:
    """Makes, shows and revokes keys, as far as the caller's own key allows."""

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

        ``workspace`` None is the caller's own; for an operator, none: a platform key. ``permissions``
        are permissions or sets (``read``, ``write``, ``admin``); ``expires`` is like ``90d``; ``rate`` like
        ``1000/h``; ``allow_ips`` are addresses or networks; ``user_id`` is whose key it is. What is None
        is as in the caller's key. A key never makes one stronger than itself (403).
        """
        asked = {
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
        return self._connection.ask("POST", _KEYS, values.new_key, body=_given(asked))

    def list(self, workspace: str | None = None) -> tuple[Key, ...]:
        """Every key the caller may see, of one workspace where it is named."""
        query = {"workspace": workspace} if workspace else None
        return tuple(self._connection.pages(_KEYS, "keys", values.key, query))

    def get(self, key_id: str) -> Key:
        return self._connection.ask("GET", _path(key_id), values.key)

    def self(self) -> Key:
        """The facts of the key this client sends."""
        return self._connection.ask("GET", f"{_KEYS}/self", values.key)

    def rotate(self, key_id: str, *, overlap: str | None = None, expires: str | None = None) -> NewKey:
        """A new key, worth the same. The old one works on for ``overlap``: like ``24h``, which None means too.

        ``expires`` is how long the new key works, like ``90d``; None: until the old one would have ended.
        """
        body = _given({"overlap": overlap, "expires": expires})
        return self._connection.ask("POST", f"{_path(key_id)}/rotate", values.new_key, body=body)

    def revoke(self, key_id: str) -> Key:
        """The key is refused from now on: here at once, by other servers within 2 seconds."""
        return self._connection.ask("DELETE", _path(key_id), values.key)


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _path(key_id: str) -> str:
    return f"{_KEYS}/{quote(key_id, safe='')}"
