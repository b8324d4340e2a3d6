"""The commands: plan a release, carry it out, show the state of an environment, and delete it."""

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
    """For each step: whether it is done already, and what it would do. Changes nothing."""
    for step in STEPS:
        done = step.done(release)
        yield {"step": step.name, "title": step.title, "done": done, "will": [] if done else list(step.plan(release))}


def up(release: Release, observe: Observe[Release]) -> errors.HokusaiError | None:
    """Carry out the release; where a step fails, roll back and return the error.

    The record is written in every case, even if a second Ctrl-C interrupts the rollback.
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
        record.finish("released" if released else "rolled back" if undone else "stopped", run.error)
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
    shown = {"registry_url": "RegistryUrl", "auth_url": "AuthUrl"}  # the names must point to the balancers
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
    """Delete the stack. The bucket, the secrets, the logs and a snapshot of each database are kept.

    ``confirmed`` is the environment's name as a person typed it. Raises ``errors.NameNotConfirmed``, ``Protected`` or
    ``NotDeployed`` before it changes anything.
    """
    state = stack.existing()
    environment = state.parameters.get("Environment", "")
    if confirmed != environment:
        raise errors.NameNotConfirmed(environment=environment)
    if state.parameters.get("DeletionProtection") != "false":
        raise errors.Protected(environment=environment)
    stack.delete()
