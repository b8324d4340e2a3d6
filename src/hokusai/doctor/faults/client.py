"""Faults of the MLflow client on this machine."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import When, rule, symptom
from hokusai.doctor.faults.fault import Fault

FAULTS = (
    Fault(
        id="client-unsupported",
        layer="client",
        title="This version of the MLflow client does not work with this server",
        cause="The installed MLflow is older or newer than the versions that Hokusai supports, or newer than the plain MLflow server that it calls.",
        remedy="Install a supported version: pip install 'mlflow>=2.9,<3.18'. For a plain MLflow server, install the server's version.",
        command="python -c 'import mlflow; print(mlflow.__version__)'; curl -s URL/version",
        evidence=(
            symptom("client-odd", confidence=95),
            symptom("client-newer", confidence=58),  # another fault of the server's is more likely to be the cause
        ),
    ),
    Fault(
        id="client-environment",
        layer="client",
        title="Only the stock client fails",
        cause="The doctor's own requests do the same successfully, so the deployment works. Something on this machine disturbs the client: a proxy variable, a certificate bundle, or a package.",
        remedy="Look at the step that failed and at the client's environment.",
        command="env | grep -iE 'proxy|ca_bundle|mlflow'",
        evidence=(
            rule(
                When("stock-client"),
                When("reload", "pass"),
                When("artifact-large", "pass"),
                When("artifact-slow", "pass"),
                When("steady", "pass"),
                confidence=40,
            ),
        ),
    ),
)
