"""``python -m cluster``: start the cluster, print its addresses, stop on Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from cluster.cluster import Cluster, running

_TEXT = """
auth service   {auth}
registry       {registry}   ({replicas} replicas)
operator key   {key}
certificates   {authority}

  export HOKUSAI_URL={auth} SSL_CERT_FILE={authority} HOKUSAI_API_KEY=$(cat {key})
  hokusai workspaces create acme
  hokusai keys create --workspace acme --name me

  export HOKUSAI_URL={registry} HOKUSAI_API_KEY=hk_live_…
  export MLFLOW_TRACKING_URI={registry}/api/mlflow MLFLOW_TRACKING_TOKEN=hk_live_…
  export MLFLOW_TRACKING_SERVER_CERT_PATH={authority}

Ctrl-C stops everything and deletes the data."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="hokusai-cluster-") as place:
        try:
            with running(Path(place)) as cluster:
                print(_text(cluster, Path(place)), flush=True)
                signal.pause()
        except KeyboardInterrupt:
            print("stopped", flush=True)
    return 0


def _text(cluster: Cluster, place: Path) -> str:
    return _TEXT.format(
        auth=cluster.balancer.url("auth"),
        registry=cluster.balancer.url("registry"),
        replicas=len(cluster.registries),
        key=shlex.quote(str(place / "auth" / "operator.key")),
        authority=shlex.quote(str(cluster.balancer.authority)),
    )


if __name__ == "__main__":
    sys.exit(main())
