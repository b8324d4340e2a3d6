"""The key is good, and may not do this (HK12)."""

from __future__ import annotations

from hokusai.errors.base import Forbidden


class PermissionLacking(
    Forbidden,
    code="HK1201",
    message="gateway: this key lacks the permission {permission}.",
    remedy="Ask the operator for a key with {permission}.",
):
    """The route needs a permission that the key does not carry."""

    permission: str


class ServiceMismatch(
    Forbidden,
    code="HK1202",
    message="auth: this key is for the service {expected!r}, and {asked!r} asked.",
    remedy="Use a key issued for {asked!r}, or set HOKUSAI_SERVICE_ID to the service the keys name.",
):
    """The key was issued for another service."""

    expected: str
    asked: str


class AddressRefused(
    Forbidden,
    code="HK1203",
    message="auth: this key may not be used from {address}.",
    remedy="Call from an allowed network, or ask the operator to add this address to the key.",
):
    """The key carries a list of networks, and the caller is in none of them."""

    address: str


class WorkspaceSuspended(
    Forbidden,
    code="HK1204",
    message="auth: the workspace {workspace} is suspended.",
    remedy="Ask the operator why, and to resume it.",
):
    """All keys of a suspended workspace are refused until it is resumed."""

    workspace: str


class EnvironmentMismatch(
    Forbidden,
    code="HK1205",
    message="auth: this is a {environment} key, and this server accepts {accepted}.",
    remedy="Use a key made with --environment {accepted}.",
):
    """A test key on a live server, or the reverse."""

    environment: str
    accepted: str


class WorkspaceNone(
    Forbidden,
    code="HK1206",
    message="gateway: an operator key belongs to no workspace, so it reaches no models.",
    remedy="Create a key for the workspace: hokusai keys create --workspace NAME --name NAME.",
):
    """Tenants' data is reached with a key of the tenant alone."""


class KeyEscalation(
    Forbidden,
    code="HK1207",
    message="auth: a key cannot make a key stronger than itself: {reason}.",
    remedy="Ask for less, or use a stronger key.",
):
    """More permissions, a later expiry, a higher rate, another workspace, service or network."""

    reason: str
