"""The auth service (HK20)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, Conflict, NotFound, Unavailable


class WorkspaceUnknown(
    NotFound,
    code="HK2001",
    message="auth: there is no workspace {workspace}.",
    remedy="List the workspaces with: hokusai workspaces list.",
):
    workspace: str


class WorkspaceExists(
    Conflict,
    code="HK2002",
    message="auth: the workspace {workspace} exists already.",
    remedy="Choose another name, or use the existing workspace.",
):
    workspace: str


class WorkspaceNameInvalid(
    BadRequest,
    code="HK2003",
    message="auth: {workspace!r} is not a workspace name: {reason}.",
    remedy="Use 2 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends.",
):
    workspace: str
    reason: str


class KeyIdUnknown(
    NotFound,
    code="HK2004",
    message="auth: there is no key {key_id}.",
    remedy="List the keys with: hokusai keys list.",
):
    key_id: str


class FieldInvalid(
    BadRequest,
    code="HK2005",
    message="auth: {field}: {reason}.",
    remedy="Correct that field; all fields are described at /api/v1/openapi.json.",
):
    field: str
    reason: str


class AuthServiceDown(
    Unavailable,
    code="HK2006",
    message="auth: the auth service does not answer.",
    remedy="The key was not checked: send the request again. Operator: check HOKUSAI_AUTH_URL.",
):
    """The connection was refused or timed out, the name did not resolve, or the answer was 5xx. The key may be good."""


class AuthServiceContract(
    Unavailable,
    code="HK2007",
    message="auth: the auth service answered in a form that this server does not understand.",
    remedy="Operator: check HOKUSAI_AUTH_URL and HOKUSAI_AUTH_SERVICE_KEY, and that both servers run the same version.",
):
    """Another service or a proxy answered, or the auth service refused this server's own key."""


class AuthServiceElsewhere(
    NotFound,
    code="HK2008",
    error_code="ENDPOINT_NOT_FOUND",
    message="auth: keys and workspaces are managed by the auth service, not by this server.",
    remedy="Send the request to {url}.",
):
    url: str


class KeyRetired(
    Conflict,
    code="HK2009",
    error_code="INVALID_STATE",
    message="auth: the key {key_id} is {state}, so it cannot be rotated.",
    remedy="Create a new key instead.",
):
    """Rotating it would bring a revoked or expired key back, or give a rotated one a second successor."""

    key_id: str
    state: str


class KeysFull(
    Conflict,
    code="HK2010",
    error_code="RESOURCE_EXHAUSTED",
    message="auth: the workspace {workspace} has {limit} keys in use, which is the limit.",
    remedy="Revoke keys that are no longer needed: hokusai keys list, hokusai keys revoke.",
):
    workspace: str
    limit: int


class WorkspaceDeleted(
    Conflict,
    code="HK2011",
    error_code="INVALID_STATE",
    message="auth: the workspace {workspace} was deleted, and its name cannot be used again.",
    remedy="Choose another name.",
):
    """A new workspace of that name could expose what the old one left behind."""

    workspace: str


class LastOperatorKey(
    Conflict,
    code="HK2070",
    error_code="INVALID_STATE",
    message="auth: {key_id} is the last operator key: without it nobody can do here what it can.",
    remedy="Create another one first: hokusai keys create --name NAME --permissions operator. To lock yourself out "
    "all the same, confirm it with --yes-lock-me-out.",
):
    """An operator key is a platform key that may make keys. Another one takes its place if it may do at least the same,
    for the same service and environment, is neither revoked, rotated nor expired, and, after a rotation, lasts as long.
    The way back in is ``hokusai migrate --new-operator-key``.
    """

    key_id: str


class KeyTextUnknown(
    NotFound,
    code="HK2071",
    message="auth: no key with this text was issued here, or it is not of your workspace.",
    remedy="Check that all of it was copied, and that this is the server that issued it.",
): ...
