"""Faults of MLflow behind the gateway."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import ANY, When, code, rule, symptom
from hokusai.doctor.faults.fault import SERVER_LOG_COMMAND, Fault

FAULTS = (
    Fault(
        id="tracking-fault",
        layer="tracking",
        title="MLflow fails with an internal error",
        cause="MLflow answered 500: its database or its own code failed.",
        remedy="Look up the request id in the server's log: MLflow's message is there.",
        command=SERVER_LOG_COMMAND,
        evidence=(rule(When(ANY, code=("HK3003",)), confidence=60),),
    ),
    Fault(
        id="tracking-down",
        layer="tracking",
        title="MLflow does not answer the gateway",
        cause="The separate MLflow server is down, or hangs.",
        remedy="Start it, or correct HOKUSAI_TRACKING_URL.",
        command="curl -si $HOKUSAI_TRACKING_URL/health",
        evidence=code("HK3001", "HK3002", "HK6009", confidence=86),
        named_by_ready=True,
    ),
    Fault(
        id="workspaces-off",
        layer="tracking",
        title="MLflow's workspaces are turned off",
        cause="The separate MLflow server was started without --enable-workspaces, so that teams would not be isolated from each other.",
        remedy="Start it with: mlflow server --enable-workspaces (version 3.17).",
        command="curl -s $HOKUSAI_TRACKING_URL/api/3.0/mlflow/server-info",
        evidence=code("HK6008", confidence=95),
    ),
    Fault(
        id="tracking-exposed",
        layer="tracking",
        title="MLflow can be reached around the gateway",
        cause="MLflow answers without a key, so that anyone can read and change everything in it.",
        remedy="Close its port to everyone except the gateway, and remove routes that lead around the gateway.",
        command="hokusai doctor URL --only closed --tracking-url MLFLOW_URL",
        evidence=(symptom("mlflow-open", "open-door", confidence=95),),
    ),
)
