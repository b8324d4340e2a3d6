"""The parts of the cluster, started in order and stopped in reverse."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import httpx2

from cluster.balancer import Balancer
from cluster.ports import free_port
from tests.artifacts.trouble import Trouble, trouble
from tests.postgres import Postgres
from tests.redis import Redis
from tests.s3 import S3Server
from tests.serving import Server, serving

REPLICAS = 3


class _Closing(Protocol):
    def close(self) -> None: ...


_Part = TypeVar("_Part", bound=_Closing)


class Node:
    """One ``hokusai serve``, always on the same port. ``stop`` drains it, ``kill`` does not."""

    def __init__(self, name: str, place: Path, role: str, settings: Mapping[str, str]) -> None:
        self.name = name
        self.port = free_port()
        self.server: Server | None = None
        self._place = place / name
        self._role = role
        self._settings = settings
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        arguments = ("--role", self._role, "--port", str(self.port))
        self.server = self._stack.enter_context(serving(self._place, *arguments, settings=self._settings))
        self.server.url = self.url  # not the public URL, which is the balancer's
        return self.server

    def stop(self) -> None:
        self._stack.close()

    def kill(self) -> None:
        if self.server:
            self.server.process.kill()
            self.server.process.wait()
        self._stack.close()


class Cluster:
    """``auth`` and ``registries`` behind ``balancer``. ``s3_trouble``, in front of S3, can cause failures."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._stack = ExitStack()
        self.postgres: Postgres
        self.redis: Redis
        self.s3: S3Server
        self.s3_trouble: Trouble
        self.auth: Node
        self.registries: list[Node] = []

    def start(self) -> None:
        self.balancer = Balancer(self._place)
        self.postgres = self._owned(Postgres())
        self.redis = self._owned(Redis())
        self.s3 = self._owned(S3Server())
        self.bucket = self.s3.bucket()
        self.s3_trouble = self._stack.enter_context(trouble(self.s3.port))
        self.auth = self._node("auth", "auth", self._auth_settings())
        operator = self.auth.start()
        self.operator_key = operator.operator_key
        service = operator.key(None, permissions=["service"], rate="10000000/h")
        settings = self._registry_settings(service.key)
        self.registries = [self._node(f"registry-{one}", "registry", settings) for one in range(1, REPLICAS + 1)]
        backends = {"auth": [self.auth.port], "registry": [node.port for node in self.registries]}
        self._stack.callback(self.balancer.close)
        self.balancer.start(backends)
        with ThreadPoolExecutor(REPLICAS) as pool:
            list(pool.map(Node.start, self.registries))
        self.wait_ready()

    def close(self) -> None:
        self._stack.close()

    def http(self, key: str, *, host: str = "registry", node: Node | None = None) -> httpx2.Client:
        """A client that trusts the cluster's certificates; past the balancer where a ``node`` is given."""
        return httpx2.Client(
            base_url=node.url if node else self.balancer.url(host),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            verify=ssl.create_default_context(cafile=str(self.balancer.authority)),
            timeout=60,
            trust_env=False,
        )

    def client_environment(self, key: str) -> dict[str, str]:
        """What a stock client needs: address, key, and the authority that signed the certificates."""
        return {
            "MLFLOW_TRACKING_URI": f"{self.balancer.url('registry')}/api/mlflow",
            "MLFLOW_TRACKING_TOKEN": key,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.balancer.authority),
        }

    def wait_ready(self, seconds: float = 60) -> float:
        """Until the balancer's two hosts and each replica answer; returns the seconds that it took."""
        began = time.monotonic()
        while not self._ready():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"the cluster was not ready again within {seconds:g} seconds")
            time.sleep(0.1)
        return time.monotonic() - began

    def _ready(self) -> bool:
        hosts = [self.http("", host="auth"), self.http("")] + [self.http("", node=node) for node in self.registries]
        try:
            for http in hosts:
                with http:
                    if http.get("/ready").status_code != 200:
                        return False
        except httpx2.HTTPError:
            return False
        return True

    def _auth_settings(self) -> dict[str, str]:
        return {
            **self._common("auth"),
            "HOKUSAI_DATABASE_URL": self.postgres.create_database(),
            "HOKUSAI_KEY_PEPPER": "a pepper for all replicas",
            "HOKUSAI_ADDRESS_RATE": "10000000/minute",
        }

    def _registry_settings(self, service_key: str) -> dict[str, str]:
        return {
            **self._common("registry"),
            "HOKUSAI_DATABASE_URL": self.postgres.create_database(),
            "HOKUSAI_ARTIFACTS_URL": f"s3://{self.bucket}/models",
            "HOKUSAI_REDIS_URL": self.redis.url,
            "HOKUSAI_AUTH_URL": self.balancer.url("auth"),
            "HOKUSAI_AUTH_PUBLIC_URL": self.balancer.url("auth"),
            "HOKUSAI_AUTH_SERVICE_KEY": service_key,
            "SSL_CERT_FILE": str(self.balancer.authority),
            **self.s3.environ(self.s3_trouble.url),
        }

    def _common(self, host: str) -> dict[str, str]:
        return {"HOKUSAI_PUBLIC_URL": self.balancer.url(host), "HOKUSAI_TRUSTED_PROXIES": "127.0.0.0/8"}

    def _node(self, name: str, role: str, settings: Mapping[str, str]) -> Node:
        node = Node(name, self._place, role, settings)
        self._stack.callback(node.stop)
        return node

    def _owned(self, part: _Part) -> _Part:
        self._stack.callback(part.close)
        return part


@contextmanager
def running(place: Path) -> Iterator[Cluster]:
    cluster = Cluster(place)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
