"""Artifacts (HK40)."""

from __future__ import annotations

from hokusai.errors.base import (
    BadRequest,
    Conflict,
    Fault,
    Full,
    NotFound,
    NotOffered,
    PreconditionFailed,
    TooLarge,
    Unavailable,
    Unsatisfiable,
)


class ArtifactUnknown(
    NotFound,
    code="HK4001",
    message="artifacts: there is no artifact {path!r} in this workspace.",
    remedy="List what there is with: mlflow artifacts list --run-id RUN.",
):
    path: str


class ArtifactPathInvalid(
    BadRequest,
    code="HK4002",
    message="artifacts: this is no artifact path: {reason}.",
    remedy="Use a relative path with '/' between the names and no '.', '..', backslash or control character.",
):
    reason: str


class ArtifactTooLarge(
    TooLarge,
    code="HK4003",
    message="artifacts: the file is larger than {limit} bytes.",
    remedy="Split the file, or ask the operator to raise HOKUSAI_MAX_UPLOAD_BYTES.",
):
    limit: int


class ArtifactStoreDown(
    Unavailable,
    code="HK4004",
    message="artifacts: the artifact store does not answer.",
    remedy="Nothing was kept; send the request again. Operator: see /ready and HOKUSAI_ARTIFACTS_URL.",
): ...


class ArtifactStoreFull(
    Full,
    code="HK4005",
    message="artifacts: the artifact store has no room left.",
    remedy="Nothing was kept. Operator: free or add space, then send the upload again.",
): ...


class UploadIncomplete(
    BadRequest,
    code="HK4006",
    message="artifacts: the upload ended after {received} of {expected} bytes.",
    remedy="Nothing was kept; send the file again.",
):
    received: int
    expected: int | str


class RangeUnsatisfiable(
    Unsatisfiable,
    code="HK4007",
    message="artifacts: the range lies outside the file of {size} bytes.",
    remedy="Ask for a range inside the file (RFC 9110, section 14).",
): ...


class ArtifactStoreDenied(
    Fault,
    code="HK4008",
    message="artifacts: this server may not write in the artifact store.",
    remedy="Nothing was kept. Operator: allow s3:PutObject (docs/how-to/grow.md), or writing in HOKUSAI_ARTIFACTS_URL.",
): ...


class DigestMismatch(
    BadRequest,
    code="HK4009",
    message="artifacts: the digest sent with the upload {reason}.",
    remedy="Nothing was kept; send the file again, with its own SHA-256 or without a digest.",
):
    """``Repr-Digest`` or ``Content-Digest`` (RFC 9530) does not fit the bytes, or cannot be read."""

    reason: str


class ArtifactPathTaken(
    Conflict,
    code="HK4010",
    message="artifacts: no file can have this path: {reason}.",
    remedy="Choose another path, or delete what stands in the way.",
):
    """A directory has the path, or a file has the path of one of its directories."""

    reason: str


class UploadNotPlain(
    BadRequest,
    code="HK4011",
    message="artifacts: an upload is one whole, unencoded file, and {header} says otherwise.",
    remedy="Send all bytes of the file as they are, without {header}.",
):
    """``Content-Range`` or ``Content-Encoding`` on an upload: keeping it would keep other bytes than the file's."""

    header: str


class ArtifactStoreMissing(
    Fault,
    code="HK4012",
    message="artifacts: the artifact store is not there.",
    remedy="Nothing was kept. Operator: create the bucket that HOKUSAI_ARTIFACTS_URL names, or name another.",
): ...


class ArtifactStoreCredentials(
    Fault,
    code="HK4013",
    message="artifacts: the artifact store does not know this server.",
    remedy="Nothing was kept. Operator: the credentials are missing, wrong or expired, or the clock is; see AWS_*.",
):
    """Which credentials are tried, and in what order, is in docs/how-to/grow.md."""


class ArtifactStoreElsewhere(
    Fault,
    code="HK4014",
    message="artifacts: the artifact store is in another region, or behind another endpoint.",
    remedy="Nothing was kept. Operator: set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL if it has one.",
): ...


class ArtifactStoreBusy(
    Unavailable,
    code="HK4015",
    message="artifacts: the artifact store takes no more requests for now.",
    remedy="Nothing was kept; send the request again in a moment. Operator: the bucket is being throttled.",
): ...


class ArtifactReadDenied(
    ArtifactStoreDenied,
    code="HK4016",
    message="artifacts: this server may not read in the artifact store.",
    remedy="Operator: allow s3:GetObject (docs/how-to/grow.md), or reading in HOKUSAI_ARTIFACTS_URL.",
): ...


class ArtifactListDenied(
    ArtifactStoreDenied,
    code="HK4017",
    message="artifacts: this server may not list what is in the artifact store.",
    remedy="Operator: allow s3:ListBucket (docs/how-to/grow.md), or reading in HOKUSAI_ARTIFACTS_URL.",
): ...


class ArtifactDeleteDenied(
    ArtifactStoreDenied,
    code="HK4018",
    message="artifacts: this server may not delete in the artifact store.",
    remedy="Operator: allow s3:DeleteObject (docs/how-to/grow.md), or writing in HOKUSAI_ARTIFACTS_URL.",
): ...


class UploadLost(
    Conflict,
    code="HK4019",
    message="artifacts: there is no upload here that ended after {offset} bytes.",
    remedy="Ask with HEAD what is there (Upload-Offset), or send the whole file.",
):
    """A client wanted to go on with an upload: it waited too long, or another server process took its beginning."""

    offset: int


class ConditionFailed(
    PreconditionFailed,
    code="HK4020",
    message="artifacts: the file is not as {header} says.",
    remedy="Read the file again, then decide; the ETag of its answer names what is there (RFC 9110, section 13).",
):
    header: str


class PartsNotOffered(
    NotOffered,
    code="HK4021",
    message="Multipart upload is not supported for the current artifact repository: a file of any size is one stream.",
    remedy="Unset MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD; MLflow's client sends the stream then, as it does with it.",
):
    """The words are MLflow's: by them its client knows to send the file as one stream."""
