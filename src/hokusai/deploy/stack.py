"""The CloudFormation stack: its state, and its update to a template through a change set."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from hokusai import errors
from hokusai.deploy.aws import Aws

_SECONDS = 3600.0  # two databases with a standby take half of that
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")
_GONE = frozenset({"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"})
_GOOD = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})


@dataclass(frozen=True, slots=True)
class State:
    """The state of a stack. ``settled``: no operation is in progress."""

    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]

    @property
    def settled(self) -> bool:
        return not self.status.endswith("_IN_PROGRESS")

    @property
    def good(self) -> bool:
        return self.status in _GOOD


class Stack:
    """One stack by its name."""

    def __init__(self, aws: Aws, name: str) -> None:
        self._aws = aws
        self.name = name

    def state(self) -> State | None:
        """None where there is no stack, or only one whose first change set was never executed."""
        try:
            found = self._aws("cloudformation", "describe_stacks", StackName=self.name)["Stacks"][0]
        except errors.CloudRefused as error:
            if error.kind == "ValidationError":
                return None
            raise
        if found["StackStatus"] in _GONE:
            return None
        return State(
            found["StackStatus"],
            found.get("StackStatusReason", ""),
            {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters", ())},
            {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())},
        )

    def existing(self) -> State:
        """Raises ``errors.NotDeployed``."""
        if (found := self.state()) is None:
            raise errors.NotDeployed(stack=self.name, region=self._aws.region)
        return found

    def parameters(self, template: str, given: Mapping[str, str]) -> dict[str, str]:
        """Every parameter of the template: the given value, else that of the stack, else the default.

        Raises ``errors.ParametersMissing``, also for a name that the template does not have.
        """
        summary = self._aws("cloudformation", "get_template_summary", TemplateBody=template)
        defaults = {one["ParameterKey"]: one.get("DefaultValue") for one in summary["Parameters"]}
        state = self.state()
        chosen = {**defaults, **(state.parameters if state else {}), **given}
        if unknown := sorted(set(given) - set(defaults)):
            raise errors.ParametersMissing(reason=f"it does not have {', '.join(unknown)}")
        if missing := sorted(name for name in defaults if chosen[name] is None):
            raise errors.ParametersMissing(reason=f"it needs {', '.join(missing)}")
        return {name: str(chosen[name]) for name in defaults}

    def differences(self, template: str, parameters: Mapping[str, str]) -> Iterator[str]:
        """What an update would change, as lines for people. Nothing where it would change nothing."""
        state = self.state()
        if state is None:
            yield f"create the stack {self.name}: {template.count('    Type: AWS::')} resources"
            yield from (f"{name} = {value}" for name, value in parameters.items() if value)
            return
        if not state.good:
            yield f"the stack is {state.status} {state.reason}".strip()
        for name, value in parameters.items():
            if (now := state.parameters.get(name)) != value:
                yield f"{name}: {now or 'nothing'} → {value or 'nothing'}"
        theirs = self._aws("cloudformation", "get_template", StackName=self.name)["TemplateBody"]
        if isinstance(theirs, str):  # boto3 makes JSON an object; ours is YAML
            lines = unified_diff(
                theirs.splitlines(), template.splitlines(), "the stack's", "the checkout's", lineterm="", n=1
            )
            yield from lines

    def apply(self, template: str, parameters: Mapping[str, str]) -> str:
        """Update the stack to the template, after any operation in progress. Returns what was done.

        CloudFormation itself rolls back an update that fails. Raises ``errors.StackFailed``.
        """
        state = self._settled()
        if state and not state.good:
            raise self._failed(state)
        name = f"release-{secrets.token_hex(6)}"
        self._aws(
            "cloudformation",
            "create_change_set",
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType="UPDATE" if state else "CREATE",
            TemplateBody=template,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Tags=[{"Key": "application", "Value": "hokusai"}],
        )
        changes = self._change_set(name)
        if changes is None:
            return "nothing to change"
        self._aws("cloudformation", "execute_change_set", StackName=self.name, ChangeSetName=name)
        after = self._settled()
        if after is None or after.status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            raise self._failed(after)
        return f"{'changed' if state else 'created'} {changes} resources"

    def delete(self) -> None:
        """Raises ``errors.StackFailed``."""
        self._aws("cloudformation", "delete_stack", StackName=self.name)
        if state := self._settled():
            raise self._failed(state)

    def _change_set(self, name: str) -> int | None:
        """The number of changes. None, and the change set is deleted, where there are none."""

        def look() -> Any:
            found = self._aws("cloudformation", "describe_change_set", StackName=self.name, ChangeSetName=name)
            return found if found["Status"] in {"CREATE_COMPLETE", "FAILED"} else None

        found = self._aws.until(look, seconds=600)
        if found and found["Status"] == "CREATE_COMPLETE":
            return len(found.get("Changes", ()))
        self._aws("cloudformation", "delete_change_set", StackName=self.name, ChangeSetName=name)
        reason = found.get("StatusReason", "") if found else "its change set did not become ready"
        if any(words in reason for words in _NO_CHANGE):
            return None
        raise errors.StackFailed(stack=self.name, state="unchanged", reason=reason.rstrip("."))

    def _settled(self) -> State | None:
        unseen = object()

        def look() -> object | None:
            state = self.state()
            return unseen if state is None else state if state.settled else None

        found = self._aws.until(look, seconds=_SECONDS)
        if found is None:
            raise errors.StackFailed(
                stack=self.name, state="still in progress", reason=f"it had not ended after {_SECONDS:.0f} s"
            )
        return found if isinstance(found, State) else None

    def _failed(self, state: State | None) -> errors.StackFailed:
        if state is None:
            return errors.StackFailed(stack=self.name, state="gone", reason="somebody deleted it")
        return errors.StackFailed(stack=self.name, state=state.status, reason=self._cause() or state.reason)

    def _cause(self) -> str:
        """The first resource that failed in the latest change: the others were cancelled because of it."""
        cause = ""
        for one in self._aws("cloudformation", "describe_stack_events", StackName=self.name)["StackEvents"]:
            said, status = one.get("ResourceStatusReason", ""), one.get("ResourceStatus", "")
            if one["LogicalResourceId"] == self.name and status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"}:
                break
            if status.endswith("_FAILED") and "cancelled" not in said:
                cause = f"{one['LogicalResourceId']}, {said}".rstrip(".")
        return cause
