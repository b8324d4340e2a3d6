"""The key is good, but may not do this (HK12)."""

from __future__ import annotations

from hokusai.errors.base import Forbidden


class PermissionLacking(
    Forbidden,
    code="HK1201",
    message="gateway: this key lacks the permission {permission}.",
    remedy="Ask the operator for a key with {permission}.",
):
    """The route needs a permission that the key does not have."""

    permission: str


class ServiceMismatch(
    Forbidden,
    code="HK1202",
    message="auth: this key was issued for the service {issued_for!r}, not for {used_at!r}.",
    remedy="Use a key issued for {used_at!r}, or set HOKUSAI_SERVICE_ID to the service that the keys name.",
):
    """Each key names one service; a server is the service in its ``HOKUSAI_SERVICE_ID``."""

    issued_for: str
    used_at: str


class AddressRefused(
    Forbidden,
    code="HK1203",
    message="auth: this key may not be used from {address}.",
    remedy="Call from an allowed network, or ask the operator to add this address to the key.",
):
    """The key has a list of networks, and the client's address is in none of them."""

    address: str


class WorkspaceSuspended(
    Forbidden,
    code="HK1204",
    message="auth: the workspace {workspace} is suspended.",
    remedy="Ask the operator why, and to resume it.",
):
    """While a workspace is suspended, all its keys are refused."""

    workspace: str


class EnvironmentMismatch(
    Forbidden,
    code="HK1205",
    message="auth: this is a {environment} key, and this server accepts only {accepted} keys.",
    remedy="Use a key made with --environment {accepted}.",
):
    """A test key was sent to a live server, or the reverse (``HOKUSAI_ENVIRONMENTS``)."""

    environment: str
    accepted: str


class WorkspaceNone(
    Forbidden,
    code="HK1206",
    message="gateway: a platform key does not belong to a workspace, so it cannot reach models.",
    remedy="Create a key for the workspace: hokusai keys create --workspace NAME --name NAME.",
):
    """A tenant's data can be reached only with that tenant's keys."""


class KeyEscalation(
    Forbidden,
    code="HK1207",
    message="auth: a key cannot make a key stronger than itself: {reason}.",
    remedy="Ask for less, or use a stronger key.",
):
    """Stronger means: more permissions, a later expiry, a higher rate, or another workspace, service or network."""

    reason: str
