"""Faults of the artifact store, and of where files are kept."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import ANY, MLFLOW, When, code, rule, symptom
from hokusai.doctor.faults.fault import Fault

FAULTS = (
    Fault(
        id="artifact-serving-off",
        layer="artifacts",
        title="MLflow does not serve artifacts",
        cause="MLflow was started with --no-serve-artifacts, so it refuses uploads.",
        remedy="Start it with --serve-artifacts and --artifacts-destination.",
        command="ps -o args= -C mlflow",
        evidence=(
            rule(When(ANY, text=("--no-serve-artifacts",)), confidence=98),
            symptom("log-serving-off", confidence=98),
        ),
    ),
    Fault(
        id="artifact-destination-ephemeral",
        layer="artifacts",
        title="Files are kept in a place that does not last",
        cause="No destination was set: files are kept in the process's ./mlartifacts or in memory, and are lost with the next deployment.",
        remedy="Set --artifacts-destination (MLflow) or HOKUSAI_ARTIFACTS_URL to a bucket or a mounted volume.",
        command="ps -o args= -C mlflow; echo $HOKUSAI_ARTIFACTS_URL",
        evidence=(symptom("default-destination", "artifacts-memory", confidence=95),),
    ),
    Fault(
        id="artifact-store-unreachable",
        layer="artifacts",
        title="The artifact store cannot be reached",
        cause="The bucket does not exist, is in another region, or cannot be reached from the server.",
        remedy="Create the bucket, or correct HOKUSAI_ARTIFACTS_URL, AWS_REGION and AWS_ENDPOINT_URL.",
        command="aws s3 ls s3://BUCKET   # with the server's role",
        evidence=(
            *code("HK4004", "HK4012", "HK4014", confidence=90),
            rule(
                When(ANY, by=MLFLOW, text=("NoSuchBucket", "Could not connect to the endpoint", "does not exist")),
                confidence=96,
            ),
            rule(When("artifact-small", status=(500, 503), by=MLFLOW), confidence=60),
        ),
        named_by_ready=True,
    ),
    Fault(
        id="artifact-store-read-only",
        layer="artifacts",
        title="The server lacks permissions on the artifact store",
        cause="The server's credentials do not allow it to write, read, list or delete there.",
        remedy="Allow s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket on the bucket and prefix.",
        command="aws s3 cp /etc/hostname s3://BUCKET/PREFIX/probe   # with the server's role",
        evidence=(
            *code("HK4008", "HK4016", "HK4017", "HK4018", confidence=90),
            rule(
                When(ANY, by=MLFLOW, text=("AccessDenied", "Access Denied", "Permission denied", "Forbidden")),
                confidence=96,
            ),
            rule(When("artifact-small", status=(500,), by=MLFLOW), confidence=50),
        ),
        named_by_ready=True,
    ),
    Fault(
        id="artifact-disk-full",
        layer="artifacts",
        title="The artifact store is full",
        cause="The store's disk is full, or its quota is used up. No file was stored in part.",
        remedy="Delete files, or add space.",
        command="df -h",
        evidence=(
            *code("HK4005", confidence=95),
            rule(When(ANY, text=("No space left on device",)), confidence=98),
        ),
        named_by_ready=True,
    ),
    Fault(
        id="files-damaged",
        layer="artifacts",
        title="Stored files were changed or lost in part",
        cause="Files in the artifact store do not have the size or the SHA-256 that was recorded when they were uploaded: "
        "something other than this server wrote there, or the disk lost data. Their downloads are refused (HK4070).",
        remedy="Find the files in the server's log or in the audit trail, find out who changed them, and restore them from a "
        "backup or upload them again.",
        command="journalctl -u hokusai | grep 'not the one that was uploaded'",
        evidence=(symptom("files-damaged", confidence=97), *code("HK4070", confidence=95)),
    ),
    Fault(
        id="upload-limit",
        layer="artifacts",
        title="The server's own limit is smaller than a model",
        cause="HOKUSAI_MAX_UPLOAD_BYTES or the workspace's quota is smaller than the file.",
        remedy="Raise the limit or the quota.",
        command="echo $HOKUSAI_MAX_UPLOAD_BYTES",
        evidence=code("HK4003", "HK1308", "HK1309", confidence=95),
    ),
    Fault(
        id="experiment-direct-location",
        layer="tracking",
        title="Some experiments keep their files outside the server",
        cause="Experiments that were created while MLflow did not serve artifacts keep their s3:// or file address permanently: clients need credentials of their own for it.",
        remedy="Use a new experiment: the location of the old one cannot be changed.",
        command="mlflow experiments search",
        evidence=(
            rule(When("locations", symptom=("direct-location",)), confidence=92),
            rule(When("tracking", symptom=("direct-location",)), confidence=88),
        ),
    ),
    Fault(
        id="multipart-unreachable",
        layer="artifacts",
        title="Clients cannot reach the addresses for uploads in parts",
        cause="For files over 500 MB, the server gives clients addresses for the parts, on a host that clients cannot reach.",
        remedy="Make the bucket's endpoint reachable for clients, or turn uploads in parts off: MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=false.",
        command="hokusai doctor URL --only multipart",
        evidence=(symptom("parts-unreachable", confidence=95),),
    ),
    Fault(
        id="upload-lost",
        layer="artifacts",
        title="An upload succeeds and the file is not there",
        cause="The file cannot be read back after its upload was answered with 200: it is on another replica, or a proxy answered the upload itself.",
        remedy="Find out where each replica stores its files.",
        command="hokusai doctor URL --only same-files",
        evidence=(symptom("upload-lost", confidence=60),),
    ),
)
