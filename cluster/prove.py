"""``python -m cluster.prove [--only NAME…] [--write]``: start the cluster, break it, and report which promises held."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from cluster.cluster import Cluster, running
from cluster.developer import Developer
from cluster.promises import PROMISES, Promise, Scene
from scripts.environments import environment

PAGE = Path(__file__).parent.parent / "docs" / "cluster.md"
_HEAD = """<!-- written by `python -m cluster.prove --write` -->

# What the large topology promises

PostgreSQL, S3 (moto's server), Redis, one auth service, three registries and HAProxy with TLS, on one machine, broken
on purpose by `make cluster-test`. The client is stock MLflow 3.17 with its own retries.

| promise | what happened | seconds |
| --- | --- | --- |
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.prove", description=__doc__)
    parser.add_argument(
        "--only", nargs="*", choices=[promise.__name__ for promise in PROMISES], help="only these promises"
    )
    parser.add_argument("--write", action="store_true", help="write docs/cluster.md")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end with us
    promises = [one for one in PROMISES if not given.only or one.__name__ in given.only]
    with tempfile.TemporaryDirectory(prefix="hokusai-cluster-") as place, running(Path(place)) as cluster:
        scene = _scene(cluster, Path(place))
        rows = [_row(promise, scene) for promise in promises]
    if given.write:
        PAGE.write_text(_HEAD + "".join(f"| {text} | {found} | {seconds:.0f} |\n" for text, found, seconds, _ in rows))
    failed = sum(not held for *_, held in rows)
    print(f"{len(rows) - failed} of {len(rows)} promises held")
    return 1 if failed else 0


def _scene(cluster: Cluster, place: Path) -> Scene:
    assert cluster.auth.server is not None
    team = cluster.auth.server.workspace("acme", rate="10000000/h")
    developer = Developer(environment("mlflow-3.17.2"), cluster.client_environment(team.key), place)
    return Scene(cluster, developer, team)


def _row(promise: Promise, scene: Scene) -> tuple[str, str, float, bool]:
    text, began = (promise.__doc__ or "").strip(), time.monotonic()
    try:
        found, held = promise(scene), True
    except Exception as error:
        found, held = f"FAILED: {str(error) or type(error).__name__}", False
    seconds = time.monotonic() - began
    print(f"{'✓' if held else '✗'} {text}: {found} ({seconds:.0f} s)", flush=True)
    return text, found, seconds, held


if __name__ == "__main__":
    sys.exit(main())
