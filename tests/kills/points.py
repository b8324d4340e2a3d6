"""The aimed moments: before and after each step of a change. See "The order of a change" in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Iterable

from tests.artifacts import test_settling as settling

#: What is recorded of a change that is not of a file.
BEGUN_AND_ENDED = (
    "hokusai.audit.changes:Changes.begin",
    "hokusai.audit.changes:Changes.end",
    "hokusai.audit.changes:Changes._write",
    "hokusai.gateway.audit:ChangeRecorder._end",
)
#: The steps of such changes.
STEPS = (
    "hokusai.model_names:ModelNames.claim",
    "hokusai.model_names:ModelNames.settle",
    "hokusai.model_names:ModelNames.free",
    "hokusai.auth.store:KeyStore._insert",
    "hokusai.auth.store:KeyStore.rotate",
    "hokusai.auth.store:KeyStore.revoke",
    "hokusai.auth.workspaces:WorkspaceStore.create",
    "hokusai.auth.workspaces:WorkspaceStore._set",
)
RECORDED = (*BEGUN_AND_ENDED, *STEPS)
#: The life of an upload, apart from what ``tests/artifacts/test_settling.py`` knows.
UPLOAD = ("hokusai.artifacts.group_commit:GroupCommit.commit", "hokusai.artifacts.http.upload:Uploads.put")
DISK = (*settling.UPLOAD_TO_DISK, *settling.DELETE_FROM_DISK)
BUCKET = (*settling.UPLOAD_TO_BUCKET, *settling.DELETE_FROM_BUCKET)


def moments(*steps: Iterable[str]) -> list[str]:
    return [f"{moment} {step}" for some in steps for step in some for moment in ("before", "after")]
