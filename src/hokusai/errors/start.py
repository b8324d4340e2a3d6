"""The server does not start (HK60)."""

from __future__ import annotations

from pathlib import Path

from hokusai.errors.base import StartError


class PortInUse(
    StartError,
    code="HK6001",
    message="start: port {port} on {host} is in use.",
    remedy="Stop the program that listens there, or choose another port: hokusai serve --port {other}.",
):
    port: int
    host: str
    other: int


class DataNotOurs(
    StartError,
    code="HK6002",
    message="start: {path} is not empty and was not made by hokusai.",
    remedy="Choose an empty or new directory: hokusai serve --data DIR.",
):
    path: Path


class DataNotWritable(
    StartError,
    code="HK6003",
    message="start: {path} cannot be written: {reason}.",
    remedy="Give this user the right to write there, or choose another directory: hokusai serve --data DIR.",
):
    path: Path
    reason: str


class DataInUse(
    StartError,
    code="HK6004",
    message="start: another server (process {pid}) uses {path}.",
    remedy="Stop that server first, or choose another directory: hokusai serve --data DIR.",
):
    pid: int | str
    path: Path


class DatabaseNewer(
    StartError,
    code="HK6005",
    message="start: {database} has the schema {revision}, which is newer than this version of Hokusai ({version}).",
    remedy="Install the newer version again, or restore the backup from before the upgrade.",
):
    """The doctor's fault ``schema-newer``."""

    database: str
    revision: str
    version: str


class DatabaseUnreachable(
    StartError,
    code="HK6006",
    message="start: the database of {setting} cannot be used: {reason}.",
    remedy="Check the host, port, user and password (percent-encoded), and that the database exists.",
):
    """Where it is ``temporary``, ``hokusai serve`` waits for the database instead of ending."""

    setting: str
    reason: str
    temporary: bool = False


class SettingInvalid(
    StartError,
    code="HK6007",
    message="start: {setting}: {reason}.",
    remedy="Correct that setting; it is described by: hokusai explain {setting}.",
):
    setting: str
    reason: str


class WorkspacesOff(
    StartError,
    code="HK6008",
    message="start: the MLflow server at {url} runs without workspaces, so all tenants would share everything.",
    remedy="Start it with: mlflow server --enable-workspaces (MLflow 3.17).",
):
    """The doctor's fault ``workspaces-off``."""

    url: str


class TrackingUnreachable(
    StartError,
    code="HK6009",
    message="start: MLflow {where} cannot be used: {reason}.",
    remedy="Hokusai needs MLflow 3.17. Check its version, and HOKUSAI_TRACKING_URL where that is set.",
):
    """Where it is ``temporary``, ``hokusai serve`` waits for MLflow instead of ending."""

    where: str
    reason: str
    temporary: bool = False


class PepperChanged(
    StartError,
    code="HK6010",
    message="start: HOKUSAI_KEY_PEPPER is not the one with which this database's keys were made.",
    remedy="Set the pepper that was used before; with any other, every key is unknown.",
): ...


class ExtraMissing(
    StartError,
    code="HK6011",
    message="start: {module} is not installed.",
    remedy="Install the server: pip install 'hokusai[server]'.",
):
    module: str


class ArtifactStoreUnusable(
    StartError,
    code="HK6012",
    message="start: HOKUSAI_ARTIFACTS_URL cannot be used: {reason}.",
    remedy="Use file:///DIR that this user can write, s3://BUCKET/PREFIX or memory://. "
    "For a bucket: hokusai explain HK4008 (permissions), HK4013 (credentials).",
):
    """The server writes, reads and lists a probe before it is ready. Its log has the request and the store's answer."""

    reason: str


class WorkerFailed(
    StartError,
    code="HK6013",
    message="start: a worker process could not start.",
    remedy="Its own error is in the lines above this one.",
): ...


class RestoreUnfinished(
    StartError,
    code="HK6014",
    message="start: the restore of {backup} into this installation did not finish.",
    remedy="Run it again, with the same settings: hokusai restore {backup} --data DIR. "
    "Or empty the database and the artifact store, to restore another backup or to begin with nothing.",
):
    """Some files and rows are there, and others are not."""

    backup: str
