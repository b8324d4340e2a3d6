"""What the command does: plan and up a release, tell how an environment is, take it down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hokusai import errors
from hokusai.deploy.aws import Aws
from hokusai.deploy.images import Images
from hokusai.deploy.release import STEPS, Release
from hokusai.deploy.services import ROLES, Role, Services
from hokusai.deploy.stack import Stack
from hokusai.deploy.step import Observe, Run

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,15}")


def stack_of(aws: Aws, environment: str) -> Stack:
    """Raises ``errors.EnvironmentInvalid``."""
    if _ENVIRONMENT.fullmatch(environment) is None:
        raise errors.EnvironmentInvalid(name=environment)
    return Stack(aws, f"hokusai-{environment}")


def plan(release: Release) -> Iterator[dict[str, Any]]:
    """Each step, whether it is done already, and what it would do. Changes nothing."""
    for step in STEPS:
        done = step.done(release)
        yield {"step": step.name, "title": step.title, "done": done, "will": [] if done else list(step.plan(release))}


def up(release: Release, observe: Observe[Release]) -> errors.HokusaiError | None:
    """Run the release, and what ran before again where it fails: then with the error that stopped it.

    The record is written in each case, also when a second Ctrl-C ends it all.
    """
    record = release.record
    record.before = release.records.unfinished(record)
    run = Run(STEPS, release, observe=observe, diagnose=Release.diagnose)
    released = False
    try:
        released = run.go()
    finally:
        undone = record.before and any(one.state == "undone" for one in run.ended)
        record.take(run.ended)
        record.finish("released" if released else "taken back" if undone else "stopped", run.error)
        release.records.write(record)
    return run.error


def status(aws: Aws, stack: Stack) -> dict[str, Any]:
    """Raises ``errors.NotDeployed``."""
    state = stack.existing()
    found: dict[str, Any] = {"stack": stack.name, "status": state.status, "region": aws.region, "services": []}
    if "ClusterName" not in state.outputs:
        return found
    services = Services(aws, state.outputs)
    images = Images(aws, uri=state.outputs["RepositoryUri"], name=state.outputs["RepositoryName"])
    shown = {"registry_url": "RegistryUrl", "auth_url": "AuthUrl"}  # and where the names are to lead
    shown |= {"registry_balancer": "RegistryBalancerName", "auth_balancer": "AuthBalancerName"}
    found |= {name: state.outputs[output] for name, output in shown.items()}
    found["services"] = [_service(role, services, images) for role in ROLES]
    return found


def _service(role: Role, services: Services, images: Images) -> dict[str, Any]:
    now = services.running(role)
    image = services.image(now.revision)
    digest = image.rpartition("@")[2] if "@" in image else None
    return {
        "role": role,
        "service": now.service,
        "running": now.running,
        "desired": now.desired,
        "rollout": now.rollout,
        "revision": now.revision.rpartition("/")[2],
        "digest": digest,
        "releases": images.tags(digest) if digest else [],
    }


def down(stack: Stack, *, confirmed: str) -> None:
    """Delete the stack. Bucket, secrets, logs and a snapshot of each database stay.

    ``confirmed`` is the environment's name as somebody typed it. Raises ``errors.NameNotConfirmed``,
    ``Protected`` or ``NotDeployed`` before anything is touched.
    """
    state = stack.existing()
    environment = state.parameters.get("Environment", "")
    if confirmed != environment:
        raise errors.NameNotConfirmed(environment=environment)
    if state.parameters.get("DeletionProtection") != "false":
        raise errors.Protected(environment=environment)
    stack.delete()
