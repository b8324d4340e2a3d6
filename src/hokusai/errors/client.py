"""The SDK and the command line (HK70)."""

from __future__ import annotations

from pathlib import Path

from hokusai.errors.base import ClientError


class ServerUnreachable(
    ClientError,
    code="HK7001",
    message="client: {url} does not answer: {reason}.",
    remedy="Check HOKUSAI_URL and the network.",
):
    url: str
    reason: str


class UrlMissing(
    ClientError,
    code="HK7002",
    message="client: no server was named.",
    remedy="Set HOKUSAI_URL, for example to http://127.0.0.1:5050.",
): ...


class ClientKeyMissing(
    ClientError,
    code="HK7003",
    message="client: no API key was given.",
    remedy="Set HOKUSAI_API_KEY to the key you were given.",
): ...


class PathUnusable(
    ClientError,
    code="HK7004",
    message="client: {path}: {reason}.",
    remedy="Name a file or directory that exists and that you may use.",
):
    path: Path | str
    reason: str


class AnswerUnreadable(
    ClientError,
    code="HK7005",
    message="client: {url} answered {status} with {found}.",
    remedy="Check HOKUSAI_URL: a proxy or another server answers there.",
):
    """The answer is not one of Hokusai's, or not the part of a file that was asked for."""

    url: str
    status: int
    found: str


class ModelUriInvalid(
    ClientError,
    code="HK7006",
    message="client: {uri!r} is not a model URI.",
    remedy="Write models:/NAME/VERSION, models:/NAME/latest or models:/NAME@ALIAS.",
):
    uri: str


class DigestDiffers(
    ClientError,
    code="HK7007",
    message="client: {path} does not have the digest that the server recorded.",
    remedy="Nothing was kept; try again, and tell the operator if it happens twice.",
):
    """The bytes changed on their way, or in the artifact store."""

    path: str


class UrlInvalid(
    ClientError,
    code="HK7008",
    message="client: this is not the URL of a server: {reason}.",
    remedy="Set HOKUSAI_URL to scheme, host and port, for example http://127.0.0.1:5050.",
):
    reason: str


class ClientKeyUnusable(
    ClientError,
    code="HK7009",
    message="client: this is not an API key: {reason}.",
    remedy="Set HOKUSAI_API_KEY to the whole key: it starts with hk_live_ or hk_test_.",
):
    reason: str


class TargetUnusable(
    ClientError,
    code="HK7010",
    message="client: the files cannot be put into {path}: {reason}.",
    remedy="Name a directory that does not exist yet, or an empty one that you can write.",
):
    path: Path | str
    reason: str


class AnswerHostile(
    ClientError,
    code="HK7011",
    message="client: the server named a file {path!r}, which cannot be a file inside a directory.",
    remedy="Nothing was kept; tell the operator, and do not use this version.",
):
    """A name that is empty or ``..``, that contains a separator or names a file twice, or directories without end."""

    path: str


class ArtifactsElsewhere(
    ClientError,
    code="HK7012",
    message="client: the files of {uri} are not in this server's artifact store ({scheme}).",
    remedy="Register the model again through this server; files that are elsewhere cannot be fetched.",
):
    uri: str
    scheme: str


class VersionNotReady(
    ClientError,
    code="HK7013",
    message="client: {name} version {version} is not READY: {reason}.",
    remedy="Its state is shown by: hokusai models show {name}.",
):
    """Admission refused the version, or did not finish in the time that the caller allowed."""

    name: str
    version: int | str
    reason: str


class TransferStopped(
    ClientError,
    code="HK7014",
    message="client: stopped by Ctrl-C. {left}.",
    remedy="Run the command again: it starts over.",
):
    """The command exits with 130."""

    left: str


class DigestMissing(
    ClientError,
    code="HK7070",
    message="client: the server has no digest of {count} of the files, so nothing shows that they are what was "
    "uploaded: {files}.",
    remedy="Nothing was kept. Register the model again through the server, or ask the operator how these files came "
    "into the artifact store.",
):
    """The server records the SHA-256 of what it receives. A file that was put into the artifact store past it, for
    example by an MLflow that used the store before, has none.
    """

    count: int
    files: str
