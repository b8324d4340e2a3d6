"""``make large``: uploads and downloads a file of 3 GiB with the newest stock client, and compares the bytes."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.serving import serving
from tests.stock.environments import environment, run

_CODE = """
import hashlib, os, sys, time, mlflow
size, place = int(sys.argv[1]), sys.argv[2]

def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

source = os.path.join(place, "large.bin")
with open(source, "wb") as file:
    for _ in range(size >> 20):
        file.write(os.urandom(1 << 20))
sent = digest(source)
with mlflow.start_run() as run:
    start = time.perf_counter()
    mlflow.log_artifact(source, "model")
    up = time.perf_counter() - start
os.unlink(source)
client = mlflow.MlflowClient()
client.create_registered_model("large")
client.create_model_version("large", f"runs:/{run.info.run_id}/model", run.info.run_id)
start = time.perf_counter()
back = mlflow.artifacts.download_artifacts("models:/large/1", dst_path=os.path.join(place, "back"))
down = time.perf_counter() - start
same = digest(os.path.join(back, "large.bin")) == sent
print(f"mlflow {mlflow.__version__}: {size >> 20} MiB up in {up:.1f} s, down in {down:.1f} s, the same bytes: {same}")
sys.exit(0 if same else 1)
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make large", description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=3 * 1024)
    parser.add_argument("--mlflow", default="3.17.2", help="the client's version")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, serving(Path(place) / "data") as server:
        team = server.workspace("large")
        variables = {"MLFLOW_TRACKING_URI": f"{server.url}/api/mlflow", "MLFLOW_TRACKING_TOKEN": team.key}
        program = ("python", "-c", _CODE, str(given.mebibytes << 20), place)
        print(run(environment(given.mlflow), *program, place=Path(place), **variables).splitlines()[-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
