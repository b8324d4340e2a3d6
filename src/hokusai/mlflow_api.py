"""Where MLflow's REST API is: the paths and names that the server, the client and the doctor agree on (MLflow 3.17)."""

from __future__ import annotations

#: The tracking URI of a Hokusai server is its URL and this prefix. The API is open below it and without it.
TRACKING_PREFIX = "/api/mlflow"

V2 = "/api/2.0/mlflow"
V3 = "/api/3.0/mlflow"
SERVER_INFO = V3 + "/server-info"

#: Files, by path (``mlflow_artifacts.proto``), and the multipart uploads beside them.
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
MULTIPART = "/api/2.0/mlflow-artifacts/mpu"
#: How the address of such a file begins in MLflow's own records.
ARTIFACTS_SCHEME = "mlflow-artifacts:/"

#: The header by which MLflow learns a request's workspace.
WORKSPACE_HEADER = "x-mlflow-workspace"
