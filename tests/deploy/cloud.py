"""An AWS account for tests: moto's server in a separate process, with what ``cloud_server`` adds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parent.parent.parent
REGION = "eu-central-1"
KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": REGION}


class Cloud:
    """``faults`` sets what goes wrong next, and forgets what was asked so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(base_url=url, timeout=30, trust_env=False)
        self._clients: dict[str, Any] = {}

    @property
    def environ(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.url}

    def client(self, service: str) -> Any:
        import boto3

        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]

    def faults(self, **faults: Any) -> None:
        self._http.post("/-/faults", json=faults).raise_for_status()

    def asked(self) -> list[str]:
        found: list[str] = self._http.get("/-/asked").json()
        return found

    def empty(self) -> None:
        """An account that was never used."""
        self._http.post("/moto-api/reset").raise_for_status()
        self.faults()

    def certificate(self) -> str:
        """Of the registry and the auth service."""
        names = {"DomainName": "registry.example.org", "SubjectAlternativeNames": ["auth.example.org"]}
        return str(self.client("acm").request_certificate(**names)["CertificateArn"])

    def parameters(self) -> dict[str, str]:
        """What the template has no default for."""
        return {
            "AuthHost": "auth.example.org",
            "RegistryHost": "registry.example.org",
            "CertificateArn": self.certificate(),
        }

    def network(self) -> dict[str, str]:
        """The parameters for a VPC that is there."""
        subnets = self.client("ec2").describe_subnets()["Subnets"]
        vpc = subnets[0]["VpcId"]
        ids = ",".join(one["SubnetId"] for one in subnets[:2])
        return {"VpcId": vpc, "VpcCidr": "172.31.0.0/16", "PublicSubnetIds": ids, "PrivateSubnetIds": ids}

    def stack(self, name: str, template: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """A new stack; the physical ids of its resources."""
        self.client("cloudformation").create_stack(
            StackName=name,
            TemplateBody=template,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
        return {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for page in pages
            for one in page["StackResourceSummaries"]
            if one.get("PhysicalResourceId")
        }

    def close(self) -> None:
        self._http.close()
        for client in self._clients.values():
            client.close()


@contextmanager
def serving() -> Iterator[Cloud]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.deploy.cloud_server"],
        cwd=ROOT,
        env={**os.environ, **KEYS, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"},  # thousands of records in each new account
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    cloud = Cloud(f"http://127.0.0.1:{int(process.stdout.readline())}")
    try:
        yield cloud
    finally:
        cloud.close()
        process.communicate("", timeout=20)


class Checkout:
    """A checkout of Hokusai as far as a release looks at it, with commits of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "deploy" / "aws").mkdir(parents=True)
        (path / "pyproject.toml").write_text('[project]\nname = "hokusai"\nversion = "0.1.0"\n')
        (path / "deploy" / "Containerfile").write_text("FROM scratch\n")
        template = (ROOT / "deploy" / "aws" / "template.yaml").read_text()
        (path / "deploy" / "aws" / "template.yaml").write_text(template)
        self._git("init", "--quiet")
        self.commit("first")

    def commit(self, words: str) -> str:
        (self.path / "news.txt").write_text(words)
        self._git("add", "--all")
        self._git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", words)
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True, timeout=60
        ).stdout


class RecordingEngine:
    """A command that replaces podman: records its arguments, and pushes a small image to the account."""

    def __init__(self, path: Path, cloud: Cloud) -> None:
        path.mkdir()
        self._path = path
        self.command = str(path / "podman")
        script, host = Path(__file__).with_name("engine_command.py"), cloud.url.removeprefix("http://")
        (path / "podman").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "{path}" {host} "$@"\n')
        (path / "podman").chmod(0o755)

    @property
    def calls(self) -> list[dict[str, Any]]:
        file = self._path / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def verbs(self) -> list[str]:
        return [one["arguments"][0] for one in self.calls]

    def breaks(self, verb: str) -> None:
        """From now on this subcommand fails, or takes a minute with ``slow``; the empty one matches none."""
        (self._path / "broken").write_text(verb)
