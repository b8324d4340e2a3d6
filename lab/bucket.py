"""Faults of buckets and of Redis. moto is the S3 server, with its access rules turned on where a row needs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from lab.behind import refused
from lab.parts import PROXY_ADDRESS, CannotBuild, free_port, listening, location, nginx, server
from lab.rows import Bench, Deployment, keys, planted
from tests.redis import NoRedis, Redis
from tests.s3 import S3Server
from tests.serving import serving


@contextmanager
def _bucket() -> Iterator[tuple[S3Server, str]]:
    s3 = S3Server()
    try:
        yield s3, s3.bucket()
    finally:
        s3.close()


@contextmanager
def _redis() -> Iterator[Redis]:
    try:
        server = Redis()
    except NoRedis as error:
        raise CannotBuild(str(error)) from None
    try:
        yield server
    finally:
        server.close()


@planted("artifact-store-unreachable", "the bucket was deleted")
def _(bench: Bench) -> Iterator[Deployment]:
    with _bucket() as (s3, name):
        settings = {"HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept", **s3.environ()}
        with serving(bench.directory() / "data", settings=settings) as running:
            team = running.workspace("team", permissions=["admin"])
            for key in s3.keys(name):
                s3.client.delete_object(Bucket=name, Key=key)
            s3.client.delete_bucket(Bucket=name)
            yield Deployment(running.url, variables=keys(running, team))


@planted("artifact-store-unreachable", "the bucket's endpoint is down")
def _(bench: Bench) -> Iterator[Deployment]:
    with _bucket() as (s3, name):
        settings = {"HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept", **s3.environ()}
        with serving(bench.directory() / "data", settings=settings) as running:
            team = running.workspace("team", permissions=["admin"])
            s3.close()
            yield Deployment(running.url, variables=keys(running, team))


class _Tenant:
    """An IAM user with an access key of its own, and its permissions."""

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
        """Only these, from now on. moto checks permissions only after the number of requests set here."""
        self._count(b"1000000")
        allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._iam.put_user_policy(UserName="tenant", PolicyName="rights", PolicyDocument=policy)
        self._count(b"0")

    def _count(self, actions: bytes) -> None:
        answer = httpx2.post(f"{self._s3.url}/moto-api/reset-auth", content=actions, trust_env=False)
        assert answer.is_success, answer.text


@planted("artifact-store-read-only", "the bucket's policy is changed to allow only reading")
def _(bench: Bench) -> Iterator[Deployment]:
    with _bucket() as (s3, name):
        tenant = _Tenant(s3)
        tenant.may("s3:*")
        settings = {"HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept", **tenant.environ}
        with serving(bench.directory() / "data", settings=settings) as running:
            found = keys(running, running.workspace("team", permissions=["admin"]))
            tenant.may("s3:GetObject", "s3:ListBucket")
            yield Deployment(running.url, variables=found)


@planted("artifact-store-read-only", "the bucket's policy never allowed writing, so the server does not start")
def _(bench: Bench) -> Iterator[Deployment]:
    with _bucket() as (s3, name):
        tenant = _Tenant(s3)
        tenant.may("s3:GetObject", "s3:ListBucket")
        yield refused(bench, HOKUSAI_ARTIFACTS_URL=f"s3://{name}/kept", **tenant.environ)


class _Inside(BaseHTTPRequestHandler):
    """A way to ``s3.internal``, which a server inside a private network has and clients outside do not."""

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
    """A forward proxy that sends every request to ``target``; yields its URL."""
    handler = type("Inside", (_Inside,), {"target": target})
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        yield f"http://127.0.0.1:{port}"


def _boto3(place: Path) -> Path:
    """The stock server's environment has no boto3: links this one's, with what it imports, for PYTHONPATH."""
    import boto3

    packages = Path(boto3.__file__).parents[1]
    for name in ("boto3", "botocore", "jmespath", "s3transfer"):
        (place / name).symlink_to(packages / name)
    return place


@planted("multipart-unreachable", "MLflow gives clients addresses in a bucket that only MLflow can reach")
def _(bench: Bench) -> Iterator[Deployment]:
    with _bucket() as (s3, name), _private_network(s3.url) as inside:
        variables = {
            **s3.environ("http://s3.internal.invalid"),
            "MLFLOW_S3_ENDPOINT_URL": "http://s3.internal.invalid",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(_boto3(bench.directory())),
            "HTTP_PROXY": inside,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        options = ("--artifacts-destination", f"s3://{name}/kept")
        with bench.mlflow("3.17.2", *options, **variables) as url:
            yield Deployment(url, ("--kind", "mlflow"))


@planted("redis-unavailable", "Redis was stopped")
def _(bench: Bench) -> Iterator[Deployment]:
    with (
        _redis() as redis,
        serving(bench.directory() / "data", settings={"HOKUSAI_REDIS_URL": redis.url}) as running,
    ):
        found = keys(running, running.workspace("team", permissions=["admin"]))
        redis.stop()
        yield Deployment(running.url, ("--only", "ready,rate"), found)


@planted("redis-unavailable", "the URL is rediss:, but Redis does not use TLS")
def _(bench: Bench) -> Iterator[Deployment]:
    with _redis() as redis:
        settings = {"HOKUSAI_REDIS_URL": redis.url.replace("redis:", "rediss:")}
        with serving(bench.directory() / "data", settings=settings) as running:
            found = keys(running, running.workspace("team", permissions=["admin"]))
            yield Deployment(running.url, ("--only", "ready,rate"), found)


@planted("", "two replicas on PostgreSQL, a bucket and Redis")
def _(bench: Bench) -> Iterator[Deployment]:
    with _redis() as redis, _bucket() as (s3, name):
        settings = {
            "HOKUSAI_DATABASE_URL": bench.postgres.create_database(),
            "HOKUSAI_ARTIFACTS_URL": f"s3://{name}/kept",
            "HOKUSAI_REDIS_URL": redis.url,
            "HOKUSAI_TRUSTED_PROXIES": f"{PROXY_ADDRESS}/32",
            **s3.environ(),
        }
        with (
            serving(bench.directory() / "data", settings=settings) as one,
            serving(bench.directory() / "data", settings=settings) as two,
        ):
            port = free_port()
            targets = " ".join(f"server {each.url.removeprefix('http://')};" for each in (one, two))
            with nginx(server(port, location("/", "http://both")), port=port, http=f"upstream both {{ {targets} }}"):
                team = one.workspace("team", permissions=["admin"])
                yield Deployment(f"http://127.0.0.1:{port}", variables=keys(one, team))
