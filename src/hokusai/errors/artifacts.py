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
    remedy="List the artifacts with: mlflow artifacts list --run-id RUN.",
):
    path: str


class ArtifactPathInvalid(
    BadRequest,
    code="HK4002",
    message="artifacts: this is not an artifact path: {reason}.",
    remedy="Use a relative path: names separated by '/', without '.', '..', backslashes and control characters.",
):
    reason: str


class ArtifactTooLarge(
    TooLarge,
    code="HK4003",
    message="artifacts: the file is larger than {limit} bytes.",
    remedy="Split the file, or ask the operator to raise HOKUSAI_MAX_UPLOAD_BYTES.",
):
    """In an S3 bucket the limit is at most 48.8 GiB (10,000 parts of 5 MiB), whatever the setting says."""

    limit: int


class ArtifactStoreDown(
    Unavailable,
    code="HK4004",
    message="artifacts: the artifact store does not answer.",
    remedy="Nothing was kept; send the request again. Operator: check /ready and HOKUSAI_ARTIFACTS_URL.",
): ...


class ArtifactStoreFull(
    Full,
    code="HK4005",
    message="artifacts: the artifact store is full.",
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
    message="artifacts: the requested range lies outside the file, which has {size} bytes.",
    remedy="Ask for a range inside the file (RFC 9110, section 14).",
): ...


class ArtifactStoreDenied(
    Fault,
    code="HK4008",
    message="artifacts: this server is not allowed to write to the artifact store.",
    remedy="Nothing was kept. Operator: allow s3:PutObject, or make the directory in HOKUSAI_ARTIFACTS_URL writable; "
    "hokusai explain HK4008 lists all that is needed.",
):
    """Of a bucket the server needs s3:ListBucket without a condition on s3:prefix, and of the objects below its prefix
    s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload. With a KMS key it also needs
    kms:GenerateDataKey and kms:Decrypt. In a directory it reads and writes everything.
    """


class DigestMismatch(
    BadRequest,
    code="HK4009",
    message="artifacts: the digest sent with the upload {reason}.",
    remedy="Nothing was kept; send the file again, with its own SHA-256 or without a digest.",
):
    """``Repr-Digest`` or ``Content-Digest`` (RFC 9530) does not match the bytes, or cannot be read."""

    reason: str


class ArtifactPathTaken(
    Conflict,
    code="HK4010",
    message="artifacts: a file cannot have this path: {reason}.",
    remedy="Choose another path, or delete what has that name.",
):
    """A directory has the path already, or a file has the path of one of its parent directories."""

    reason: str


class UploadNotPlain(
    BadRequest,
    code="HK4011",
    message="artifacts: the {header} of this upload is not accepted: {reason}.",
    remedy="Nothing was kept; send the whole file, unencoded and without {header}.",
):
    """Content-Encoding is refused, because the encoded bytes would be stored as the file. Content-Range is accepted
    only for the rest of an interrupted upload, which Hokusai-Upload names: from its first missing byte to the end of
    the file (bytes FIRST-LAST/SIZE), with a Content-Length that fits.
    """

    header: str
    reason: str


class ArtifactStoreMissing(
    Fault,
    code="HK4012",
    message="artifacts: the artifact store's bucket does not exist.",
    remedy="Nothing was kept. Operator: create the bucket that HOKUSAI_ARTIFACTS_URL names, or name another.",
): ...


class ArtifactStoreCredentials(
    Fault,
    code="HK4013",
    message="artifacts: the artifact store did not accept this server's credentials.",
    remedy="Nothing was kept. Operator: the credentials are missing, wrong or expired, or the server's clock is wrong; "
    "hokusai explain HK4013 says where credentials come from.",
):
    """Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN), else from a web
    identity (EKS), else from the role of the ECS task or EC2 instance. AWS_PROFILE is read where no key is set and
    boto3 is installed. Another S3 server is named with AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
    """


class ArtifactStoreElsewhere(
    Fault,
    code="HK4014",
    message="artifacts: the artifact store's bucket is in another region, or behind another endpoint.",
    remedy="Nothing was kept. Operator: set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL if it has one.",
): ...


class ArtifactStoreBusy(
    Unavailable,
    code="HK4015",
    message="artifacts: the artifact store is receiving too many requests.",
    remedy="Nothing was kept; send the request again in a moment. Operator: the bucket is being throttled.",
): ...


class ArtifactReadDenied(
    ArtifactStoreDenied,
    code="HK4016",
    message="artifacts: this server is not allowed to read from the artifact store.",
    remedy="Operator: allow s3:GetObject, or make the files in HOKUSAI_ARTIFACTS_URL readable; "
    "hokusai explain HK4008 lists all that is needed.",
): ...


class ArtifactListDenied(
    ArtifactStoreDenied,
    code="HK4017",
    message="artifacts: this server is not allowed to list the artifact store.",
    remedy="Operator: allow s3:ListBucket, or make the directory in HOKUSAI_ARTIFACTS_URL readable; "
    "hokusai explain HK4008 lists all that is needed.",
): ...


class ArtifactDeleteDenied(
    ArtifactStoreDenied,
    code="HK4018",
    message="artifacts: this server is not allowed to delete from the artifact store.",
    remedy="Operator: allow s3:DeleteObject, or make the directory in HOKUSAI_ARTIFACTS_URL writable; "
    "hokusai explain HK4008 lists all that is needed.",
): ...


class UploadLost(
    Conflict,
    code="HK4019",
    message="artifacts: this server has no interrupted upload that ended after {offset} bytes.",
    remedy="Ask with HEAD how much of it there is (Upload-Offset), or send the whole file.",
):
    """The client tried to continue an upload, but waited too long, or another server process has its first part."""

    offset: int


class ConditionFailed(
    PreconditionFailed,
    code="HK4020",
    message="artifacts: the file is not in the state that {header} requires.",
    remedy="Read the file again, then decide; the ETag of that answer is its present version (RFC 9110, section 13).",
):
    header: str


class PartsNotOffered(
    NotOffered,
    code="HK4021",
    message="Multipart upload is not supported for the current artifact repository: a file of any size is one stream.",
    remedy="Unset MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD: MLflow's client sends one stream either way.",
):
    """The words are MLflow's: its client recognises them and sends the file as one stream."""


class ArtifactDamaged(
    Conflict,
    code="HK4070",
    error_code="DATA_LOSS",
    message="artifacts: the stored file is not the one that was uploaded: its {fact} is not the recorded one.",
    remedy="Nothing of it can be trusted; upload the file again. Operator: the log names the file; find out who "
    "changed the artifact store, and restore the file from a backup.",
):
    """Size and SHA-256 of every upload are recorded, and compared when it is read. A file that does not fit was changed
    past this server, lost in part, or written by an upload that was killed before it was recorded. A download that was
    under way is broken off before its last byte. It is served again once it fits: after an upload, or a restoration.
    """

    fact: str


class ArtifactUnproven(
    Unavailable,
    code="HK4071",
    message="artifacts: the stored file is still being compared with its record.",
    remedy="Send the request again in a moment.",
):
    """The file's time or size does not fit its record, or it is being replaced: no part of it is served before all of
    it was compared.
    """
