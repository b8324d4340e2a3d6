"""Faults of buckets and of Redis: moto speaks S3, with its access rules switched on where a row needs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from lab.behind import refused
from lab.parts import PROXY_ADDRESS, free_port, listening, location, nginx, server
from lab.rows import Bench, Seen, keys, planted
from tests.redis import Redis
from tests.s3 import S3Server
from tests.serving import serving


@contextmanager
def _bucket() -> Iterator[tuple[S3Server, str]]:
    s3 = S3Server()
    try:
        yield s3, s3.bucket()
    finally:
        s3.close()


@planted("artifact-store-unreachable", "the bucket was deleted")
def _(bench: Bench) -> Iterator[Seen]:
    with _bucket() as (s3, name):
        settings = {"HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept", **s3.environ()}
        with serving(bench.place() / "data", settings=settings) as running:
            team = running.workspace("team", permissions=["admin"])
            for key in s3.keys(name):
                s3.client.delete_object(Bucket=name, Key=key)
            s3.client.delete_bucket(Bucket=name)
            yield Seen(running.url, variables=keys(running, team))


@planted("artifact-store-unreachable", "the bucket's endpoint is away")
def _(bench: Bench) -> Iterator[Seen]:
    with _bucket() as (s3, name):
        settings = {"HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept", **s3.environ()}
        with serving(bench.place() / "data", settings=settings) as running:
            team = running.workspace("team", permissions=["admin"])
            s3.close()
            yield Seen(running.url, variables=keys(running, team))


class _Tenant:
    """A user of IAM with a key of its own, and what it may do."""

    def __init__(self, s3: S3Server) -> None:
        self._s3 = s3
        import boto3

        self._iam = boto3.client(
            "iam",
            endpoint_url=s3.url,
            region_name="us-east-1",
            aws_access_key_id="tests",
            aws_secret_access_key="secret",
        )
        self._iam.create_user(UserName="tenant")
        made = self._iam.create_access_key(UserName="tenant")["AccessKey"]
        self.environ = {
            **s3.environ(),
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        }

    def may(self, *actions: str) -> None:
        """These alone, from now on. moto asks nobody for rights until it has counted down to none."""
        self._count(b"1000000")
        allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._iam.put_user_policy(UserName="tenant", PolicyName="rights", PolicyDocument=policy)
        self._count(b"0")

    def _count(self, actions: bytes) -> None:
        answer = httpx2.post(f"{self._s3.url}/moto-api/reset-auth", content=actions, trust_env=False)
        assert answer.is_success, answer.text


@planted("artifact-store-read-only", "the bucket's policy comes to allow reading alone")
def _(bench: Bench) -> Iterator[Seen]:
    with _bucket() as (s3, name):
        tenant = _Tenant(s3)
        tenant.may("s3:*")
        settings = {"HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept", **tenant.environ}
        with serving(bench.place() / "data", settings=settings) as running:
            found = keys(running, running.workspace("team", permissions=["admin"]))
            tenant.may("s3:GetObject", "s3:ListBucket")
            yield Seen(running.url, variables=found)


@planted("artifact-store-read-only", "the bucket's policy has never allowed writing: the server does not start")
def _(bench: Bench) -> Iterator[Seen]:
    with _bucket() as (s3, name):
        tenant = _Tenant(s3)
        tenant.may("s3:GetObject", "s3:ListBucket")
        yield refused(bench, HOKUSAI_ARTIFACTS_URL=f"s3://{name}/kept", **tenant.environ)


class _Inside(BaseHTTPRequestHandler):
    """What a server inside a private network has, and nobody outside: a way to ``s3.internal``."""

    protocol_version = "HTTP/1.1"
    target = ""

    def _pass(self) -> None:
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in {"connection", "host"}}
        url = self.target + parts.path + (f"?{parts.query}" if parts.query else "")
        with (
            httpx2.Client(trust_env=False) as client,
            client.stream(self.command, url, headers=kept, content=sent or None) as found,
        ):
            body = b"".join(found.iter_raw())
        self.send_response_only(found.status_code)
        for name, value in found.headers.items():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        stated = found.headers.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", stated)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass

    def log_message(self, *_: object) -> None: ...


@contextmanager
def _private_network(target: str) -> Iterator[str]:
    """A forward proxy that leads to ``target`` whatever it is asked for; yields its URL."""
    handler = type("Inside", (_Inside,), {"target": target})
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        yield f"http://127.0.0.1:{port}"


def _boto3(place: Path) -> Path:
    """The stock server has no boto3: ours, and what it needs of its own, for its PYTHONPATH."""
    import boto3

    packages = Path(boto3.__file__).parents[1]
    for name in ("boto3", "botocore", "jmespath", "s3transfer"):
        (place / name).symlink_to(packages / name)
    return place


@planted("multipart-unreachable", "MLflow hands out addresses of a bucket that only it can reach")
def _(bench: Bench) -> Iterator[Seen]:
    with _bucket() as (s3, name), _private_network(s3.url) as inside:
        variables = {
            **s3.environ("http://s3.internal.invalid"),
            "MLFLOW_S3_ENDPOINT_URL": "http://s3.internal.invalid",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(_boto3(bench.place())),
            "HTTP_PROXY": inside,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        options = ("--artifacts-destination", f"s3://{name}/kept")
        with bench.mlflow("3.17.2", *options, **variables) as url:
            yield Seen(url, ("--kind", "mlflow"))


@planted("redis-unavailable", "Redis was stopped")
def _(bench: Bench) -> Iterator[Seen]:
    redis = Redis()
    try:
        with serving(bench.place() / "data", settings={"HOKUSAI_REDIS_URL": redis.url}) as running:
            found = keys(running, running.workspace("team", permissions=["admin"]))
            redis.stop()
            yield Seen(running.url, ("--only", "ready,rate"), found)
    finally:
        redis.close()


@planted("redis-unavailable", "the URL says rediss: and nobody there speaks TLS")
def _(bench: Bench) -> Iterator[Seen]:
    redis = Redis()
    try:
        settings = {"HOKUSAI_REDIS_URL": redis.url.replace("redis:", "rediss:")}
        with serving(bench.place() / "data", settings=settings) as running:
            found = keys(running, running.workspace("team", permissions=["admin"]))
            yield Seen(running.url, ("--only", "ready,rate"), found)
    finally:
        redis.close()


@planted("", "two replicas on PostgreSQL, a bucket and Redis")
def _(bench: Bench) -> Iterator[Seen]:
    redis = Redis()
    try:
        with _bucket() as (s3, name):
            settings = {
                "HOKUSAI_DATABASE_URL": bench.postgres.create_database(),
                "HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept",
                "HOKUSAI_REDIS_URL": redis.url,
                "HOKUSAI_TRUSTED_PROXIES": f"{PROXY_ADDRESS}/32",
                **s3.environ(),
            }
            with (
                serving(bench.place() / "data", settings=settings) as one,
                serving(bench.place() / "data", settings=settings) as two,
            ):
                port = free_port()
                targets = " ".join(f"server {each.url.removeprefix('http://')};" for each in (one, two))
                with nginx(
                    server(port, location("/", "http://both")), port=port, http=f"upstream both {{ {targets} }}"
                ):
                    team = one.workspace("team", permissions=["admin"])
                    yield Seen(f"http://127.0.0.1:{port}", variables=keys(one, team))
    finally:
        redis.close()
