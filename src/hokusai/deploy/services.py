"""ECS: what runs, revisions of task definitions, one-off tasks, services and their logs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hokusai import errors
from hokusai.deploy.aws import Aws

Role = Literal["auth", "registry"]
ROLES: tuple[Role, ...] = ("auth", "registry")

_STABLE_SECONDS = 1200.0
_TASK_SECONDS = 900.0
_PINNED = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes",
    "requiresCompatibilities", "cpu", "memory", "runtimePlatform",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Running:
    """What a service is set to run. ``rollout`` is the state of its latest deployment."""

    service: str
    revision: str
    desired: int
    running: int
    rollout: str
    reason: str

    @property
    def stable(self) -> bool:
        return self.rollout == "COMPLETED" and self.running == self.desired


class Services:
    """The services of one stack, from its outputs."""

    def __init__(self, aws: Aws, outputs: Mapping[str, str]) -> None:
        self._aws = aws
        self._outputs = outputs

    def name(self, role: Role) -> str:
        return self._output(role, "ServiceName")

    def log_group(self, role: Role) -> str:
        return self._output(role, "LogGroup")

    def running(self, role: Role) -> Running:
        found = self._aws("ecs", "describe_services", cluster=self._cluster, services=[self.name(role)])["services"]
        if not found:
            raise errors.ServiceUnstable(
                service=self.name(role), reason="it does not exist any more", group=self.log_group(role)
            )
        service = found[0]
        latest: dict[str, Any] = next((one for one in service["deployments"] if one["status"] == "PRIMARY"), {})
        return Running(
            self.name(role),
            latest.get("taskDefinition") or service["taskDefinition"],
            service["desiredCount"],
            service["runningCount"],
            latest.get("rolloutState", "COMPLETED"),
            latest.get("rolloutStateReason", "") + "".join(f"; {one['message']}" for one in service["events"][:3]),
        )

    def image(self, revision: str) -> str:
        """The image of a task definition."""
        found = self._aws("ecs", "describe_task_definition", taskDefinition=revision)["taskDefinition"]
        return str(found["containerDefinitions"][0]["image"])

    def fits(self, role: Role, image: str) -> bool:
        """Whether the service runs the stack's task definition with that image, in at least one task."""
        now = self.running(role)
        return now.desired > 0 and self._pinned(now.revision, None) == self._pinned(self._template(role), image)

    def register(self, role: Role, image: str, *, migration: bool = False) -> str:
        """Register the stack's task definition with that image; returns the ARN of the revision."""
        template = self._template(role, migration=migration)
        made = self._aws("ecs", "register_task_definition", **self._pinned(template, image))
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def migrate(self, role: Role, revision: str) -> None:
        """Run the one-off task until it ends. Raises ``errors.MigrationFailed``."""
        group = self.log_group(role)
        network = {
            "subnets": self._outputs["TaskSubnets"].split(","),
            "securityGroups": [self._output(role, "TaskSecurityGroup")],
            "assignPublicIp": "DISABLED",
        }
        started = self._aws(
            "ecs",
            "run_task",
            cluster=self._cluster,
            taskDefinition=revision,
            launchType="FARGATE",
            count=1,
            startedBy="hokusai-deploy",
            networkConfiguration={"awsvpcConfiguration": network},
        )
        if not started["tasks"]:
            reason = ", ".join(one.get("reason", "") for one in started.get("failures", ())) or "no task was started"
            raise errors.MigrationFailed(name=role, reason=reason, group=group)
        if why := self._ended(started["tasks"][0]["taskArn"]):
            said = " / ".join(self._last_lines(group, "migrate"))
            raise errors.MigrationFailed(name=role, reason=f"{why}: {said}" if said else why, group=group)

    def update(self, role: Role, revision: str, desired: int) -> None:
        facts = {"cluster": self._cluster, "service": self.name(role), "taskDefinition": revision}
        self._aws("ecs", "update_service", **facts, desiredCount=desired)

    def count(self, role: Role) -> int:
        """The number of tasks in the stack's settings."""
        return int(self._output(role, "TaskCount"))

    def wait(self, role: Role, revision: str) -> Running:
        """Wait until all tasks of the service run that revision. Raises ``errors.ServiceUnstable``."""

        def look() -> Running | None:
            now = self.running(role)
            over = now.rollout == "FAILED" or now.revision != revision
            return now if over or now.stable else None

        found = self._aws.until(look, seconds=_STABLE_SECONDS)
        if found and found.stable and found.revision == revision:
            return found
        reason = found.reason.strip("; .") if found else f"it was not stable after {_STABLE_SECONDS:.0f} s"
        if found and found.revision != revision:
            reason = f"ECS rolled it back to {found.revision.rpartition('/')[2]}: {reason}"
        raise errors.ServiceUnstable(service=self.name(role), reason=reason, group=self.log_group(role))

    def lines(self, role: Role, since: float) -> list[str]:
        """What a service has logged ``since`` then (seconds of the epoch), oldest first, at most 10,000 lines."""
        facts = {"logGroupName": self.log_group(role), "startTime": int(since * 1000), "logStreamNamePrefix": "serve"}
        return [str(one["message"]).rstrip() for one in self._events(facts)][:10_000]

    def _events(self, facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for _ in range(100):  # pages
            page = self._aws("logs", "filter_log_events", **facts)
            yield from page["events"]
            if not page.get("nextToken"):
                return
            facts = {**facts, "nextToken": page["nextToken"]}

    def _last_lines(self, group: str, prefix: str, count: int = 5) -> Sequence[str]:
        facts = {"logGroupName": group, "startTime": int(time.time() - _TASK_SECONDS) * 1000}
        return [str(one["message"]).strip() for one in self._events({**facts, "logStreamNamePrefix": prefix})][-count:]

    def _ended(self, task: str) -> str | None:
        """Wait until a task ends. Returns why it failed, or None."""

        def look() -> Any:
            found = self._aws("ecs", "describe_tasks", cluster=self._cluster, tasks=[task])["tasks"]
            return found[0] if found and found[0]["lastStatus"] == "STOPPED" else None

        ended = self._aws.until(look, seconds=_TASK_SECONDS)
        if ended is None:
            self._aws("ecs", "stop_task", cluster=self._cluster, task=task, reason="it took too long")
            return f"it had not ended after {_TASK_SECONDS:.0f} s"
        codes = [one.get("exitCode") for one in ended["containers"]]
        if codes and all(code == 0 for code in codes):
            return None
        why = [ended.get("stoppedReason", ""), *(one.get("reason", "") for one in ended["containers"])]
        return ", ".join(filter(None, [f"exit codes {codes}", *why]))

    def _pinned(self, revision: str, image: str | None) -> dict[str, Any]:
        found = self._aws("ecs", "describe_task_definition", taskDefinition=revision)["taskDefinition"]
        facts = {name: found[name] for name in _PINNED if found.get(name)}
        if image:
            facts["containerDefinitions"] = [{**one, "image": image} for one in facts["containerDefinitions"]]
        return facts

    def _template(self, role: Role, *, migration: bool = False) -> str:
        return self._output(role, "MigrationArn" if migration else "TaskArn")

    @property
    def _cluster(self) -> str:
        return self._outputs["ClusterName"]

    def _output(self, role: Role, what: str) -> str:
        return self._outputs[role.capitalize() + what]
