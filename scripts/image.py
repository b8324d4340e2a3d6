"""``build`` the images of deploy/Containerfile and ``test`` them, with buildah and without a Docker daemon. Needs root.

The base image is the one in the Containerfile, or with ``--debootstrap`` one that is built here from Debian's packages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import httpx2

from hokusai import Client, __version__

HERE = Path(__file__).parent.parent
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BASE = "localhost/hokusai-base"
TARGETS = ("hokusai", "mlflow")
MOST_BYTES = 400_000_000
USER = 10001
_SECRET = re.compile(
    r"hk_(?:live|test)_[0-9A-Za-z]{38}(?![0-9A-Za-z])|BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{16}"
)


def buildah(*arguments: object, quiet: bool = False) -> str:
    line = ["buildah", *map(str, arguments)]
    done = subprocess.run(
        line, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(line)} ended with {done.returncode}\n{done.stdout}{done.stderr or ''}")
    return done.stdout.strip()


def make_base() -> str:
    """Debian 12 with its Python, as an image."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        root = Path(place) / "root"
        packages = "python3,python3-venv,ca-certificates"
        mirror = filter(None, [os.environ.get("DEBIAN_MIRROR")])  # debootstrap knows one itself
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root), *mirror],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for left in (
            "var/cache/apt",
            "var/lib/apt/lists",
            "var/log",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            shutil.rmtree(root / left)
            (root / left).mkdir()
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, root, "/")
        buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        buildah("commit", "--quiet", "--rm", container, BASE)
    return BASE


def build(base: str | None, architecture: str | None, targets: tuple[str, ...]) -> None:
    # Not --layers: a build from nothing, with a layer written for every line, takes four times as long.
    options = ["--isolation", "chroot", "--format", "docker", "--ignorefile", ".containerignore"]
    options += ["--build-arg", f"VERSION={__version__}"]
    options += ["--build-arg", f"BASE={base}"] if base else []
    options += ["--arch", architecture] if architecture else []
    for file in ("/etc/pip.conf", CERTIFICATES):  # how this machine reaches its packages does not belong into an image
        options += ["--volume", f"{file}:{file}:ro"] if Path(file).exists() else []
    for target in targets:
        buildah(
            "build",
            *options,
            "--target",
            target,
            "-t",
            f"localhost/{target}:{__version__}",
            "-f",
            "deploy/Containerfile",
            ".",
        )
        print(f"localhost/{target}:{__version__}: {size(target):,} bytes", flush=True)


def size(target: str) -> int:
    with mounted(target) as (_, root):
        used = subprocess.run(["du", "-sb", "--one-file-system", str(root)], capture_output=True, text=True, check=True)
    return int(used.stdout.split()[0])


@contextmanager
def mounted(target: str) -> Iterator[tuple[str, Path]]:
    """A container of the image, and where its files are."""
    container = buildah("from", f"localhost/{target}:{__version__}")
    try:
        yield container, Path(buildah("mount", container))
    finally:
        buildah("rm", container, quiet=True)


def prove(targets: tuple[str, ...]) -> None:
    """Print a line for each property, once it was verified."""
    for target in targets:
        bytes_ = size(target)
        assert bytes_ <= MOST_BYTES or target == "mlflow", f"{bytes_:,} bytes"
        print(f"✓ {target} has {bytes_ / 1e6:.0f} MB", flush=True)
        _look(target)
    if "hokusai" not in targets:
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place, ExitStack() as stack:
        _serve_as_a_container(Path(place) / "one", stack)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place, ExitStack() as stack:
        _serve_read_only(Path(place) / "two", stack, before_mlflow="mlflow" in targets)


def _look(target: str) -> None:
    config = json.loads(buildah("inspect", "--type", "image", f"localhost/{target}:{__version__}"))["Docker"]["config"]
    assert config["User"] == f"{USER}:{USER}", config["User"]
    assert config["Healthcheck"]["Test"][0] == "CMD", config
    assert not [one for one in config["Env"] if _SECRET.search(one)], config["Env"]
    with mounted(target) as (_, root):
        bill = json.loads((root / "opt" / target / "sbom.cdx.json").read_text())
        parts = {one["name"]: one["version"] for one in bill["components"]}
        assert parts[{"hokusai": "mlflow-skinny", "mlflow": "mlflow"}[target]].startswith("3.17."), parts
        for left in ("src", "opt/tools", "etc/pip.conf"):
            assert not (root / left).exists() or not (root / left).stat().st_size, left
        for file in (root / "opt" / target).rglob("*"):
            if file.is_file() and file.suffix in {"", ".cfg", ".env", ".ini", ".json", ".pem", ".py", ".toml", ".txt"}:
                assert not _SECRET.search(file.read_text(errors="replace")), file
    print(f"✓ {target}: not root, a health check, no secrets, a bill of materials with {len(parts)} parts", flush=True)


def _serve_as_a_container(data: Path, stack: ExitStack) -> None:
    container, _ = stack.enter_context(mounted("hokusai"))
    port = _free_port()
    options = ["--isolation", "chroot", "--user", f"{USER}:{USER}", "--volume", f"{_owned(data)}:/data"]
    line = ["buildah", "run", *options, "--env", f"HOKUSAI_PORT={port}", "--env", "HOKUSAI_HOST=127.0.0.1", container]
    with _running([*line, "--", "hokusai", "serve"], f"http://127.0.0.1:{port}/ready"):
        _register(f"http://127.0.0.1:{port}", data)
        check = json.loads(buildah("inspect", container))["Docker"]["config"]["Healthcheck"]["Test"][1:]
        buildah("run", *options, "--env", f"HOKUSAI_PORT={port}", container, "--", *check)
    print(
        "✓ hokusai: ready, and a model was registered and pulled, in a container; its health check passes",
        flush=True,
    )


def _serve_read_only(data: Path, stack: ExitStack, *, before_mlflow: bool) -> None:
    """On a read-only root file system, as the compose file runs the images."""
    port, settings = _free_port(), ""
    if before_mlflow:
        settings = f"HOKUSAI_TRACKING_URL={_serve_mlflow(stack)} "
    _, root = stack.enter_context(mounted("hokusai"))
    serve = f"{settings}HOKUSAI_PORT={port} HOKUSAI_HOST=127.0.0.1 HOKUSAI_DATA=/data hokusai serve"
    stack.enter_context(_running(_read_only(root, _owned(data), serve), f"http://127.0.0.1:{port}/ready"))
    _register(f"http://127.0.0.1:{port}", data)
    which = "and mlflow: the same, both" if before_mlflow else "alone: the same,"
    print(f"✓ hokusai {which} on a read-only root file system", flush=True)


def _serve_mlflow(stack: ExitStack) -> str:
    port = _free_port()
    _, root = stack.enter_context(mounted("mlflow"))
    serve = f"mlflow server --host 127.0.0.1 --port {port} --workers 1 --enable-workspaces --serve-artifacts"
    serve += " --backend-store-uri sqlite:////tmp/mlflow.db --artifacts-destination /nonexistent"
    stack.enter_context(_running(_read_only(root, None, serve), f"http://127.0.0.1:{port}/health"))
    return f"http://127.0.0.1:{port}"


def _read_only(root: Path, data: Path | None, command: str) -> list[str]:
    where = shlex.quote(str(root))
    path = f"/opt/{command.split()[-2 if data else 0]}/bin:/usr/local/bin:/usr/bin:/bin"
    mounts = [f"mount --bind {where} {where}"]
    mounts += [f"mount --rbind /{one} {where}/{one}" for one in ("dev", "proc")]
    mounts += [f"mount --bind {shlex.quote(str(data))} {where}/data"] if data else []
    mounts += [f"mount -t tmpfs tmpfs {where}/tmp", f"mount -o remount,ro,bind {where}"]
    inside = (
        f"umask 077; if touch /opt/x 2>/dev/null; then exit 9; fi; export HOME=/tmp PATH={path}; exec env {command}"
    )
    enter = f"exec chroot --userspec={USER}:{USER} {where} /bin/sh -c {shlex.quote(inside)}"
    return ["unshare", "--mount", "sh", "-ec", "; ".join([*mounts, enter])]


def _register(url: str, data: Path) -> None:
    """As an operator and a model developer would, from outside."""
    with Client(url, (data / "operator.key").read_text().strip()) as operator:
        operator.workspaces.create("acme")
        key = operator.keys.create("try", workspace="acme", permissions=["write"])
    with tempfile.TemporaryDirectory() as place, Client(url, key.key) as client:
        model = Path(place) / "model"
        model.mkdir()
        (model / "MLmodel").write_text("flavors: {}\n")
        (model / "weights").write_bytes(os.urandom(100_000))
        client.register(model, "churn")
        client.pull("models:/churn/1", Path(place) / "pulled")
        assert (Path(place) / "pulled" / "weights").read_bytes() == (model / "weights").read_bytes()


@contextmanager
def _running(line: list[str], url: str) -> Iterator[None]:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(process, url, log)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], url: str, log: IO[str]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(url, trust_env=False).is_success:
                return
        time.sleep(0.2)
    log.seek(0)
    raise SystemExit(f"{url} did not answer:\n{log.read()[-3000:]}")


def _owned(data: Path) -> Path:
    data.mkdir(mode=0o700)
    os.chown(data, USER, USER)
    data.parent.chmod(0o755)
    return data


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/image.py", description=__doc__)
    parser.add_argument("command", choices=("build", "test"))
    parser.add_argument("--base", help="the base image")
    parser.add_argument("--debootstrap", action="store_true", help="build the base image from Debian's packages")
    parser.add_argument("--arch", help="amd64 or arm64")
    parser.add_argument("--target", nargs="*", default=TARGETS, choices=TARGETS)
    given = parser.parse_args()
    if given.command == "build":
        build(make_base() if given.debootstrap else given.base, given.arch, tuple(given.target))
        return 0
    prove(tuple(given.target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
