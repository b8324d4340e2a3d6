"""Releases to an account of moto's. What moto does not do (running tasks) is in ``cloud_server``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hokusai import apikey, deploy, errors
from hokusai.deploy import Deployed, Engine, Proof, Record, Records, Release, State, Step
from tests.deploy.cloud import Checkout, Cloud, RecordingEngine

GOOD = Proof(True, "40 checks passed, 0 failed", document={"ok": True, "diagnosis": []}, markdown="# All well\n")
BAD = Proof(False, "1 failed", "Old version running (old-version-running)", "Deploy it again.", {"ok": False})
CHANGING = ("Create", "Update", "Delete", "Put", "Register", "Deregister", "Run", "Stop", "Execute", "Tag")


class Operator:
    """Somebody who releases: keeps what was shown, and what the doctor was asked to examine."""

    def __init__(self, cloud: Cloud, checkout: Checkout, engine: RecordingEngine, path: Path) -> None:
        self.cloud, self.checkout, self.engine = cloud, checkout, engine
        self.records = Records(path / "releases")
        self.given = cloud.parameters()
        self.aws = deploy.Aws(pause=0.01)
        self.proof: Callable[[], Proof] = lambda: GOOD
        self.examined: list[Deployed] = []
        self.shown: list[tuple[str, State]] = []

    def release(self, environment: str = "staging", **given: str) -> Release:
        aws = self.aws
        source = deploy.read(self.checkout.path)
        return Release(
            aws=aws,
            source=source,
            engine=lambda: Engine(self.engine.command),
            stack=deploy.stack_of(aws, environment),
            prove=self._prove,
            record=Record(
                environment, source.tag, source.version, source.commit, aws.region, aws.account, deploy.instant()
            ),
            records=self.records,
            given={**self.given, **given},
            on_line=lambda _: None,
        )

    def up(self, **given: str) -> tuple[errors.HokusaiError | None, Record]:
        release = self.release(**given)
        self.shown.clear()
        return deploy.up(release, self._observe), release.record

    def states(self) -> dict[str, State]:
        return {name: state for name, state in self.shown if state not in {"running", "undoing"}}

    def services(self) -> dict[str, tuple[str, int]]:
        """What runs: by role the image, and how many."""
        ecs = self.cloud.client("ecs")
        (cluster,) = ecs.list_clusters()["clusterArns"]
        found = {}
        for one in ecs.describe_services(cluster=cluster, services=ecs.list_services(cluster=cluster)["serviceArns"])[
            "services"
        ]:
            task = ecs.describe_task_definition(taskDefinition=one["taskDefinition"])["taskDefinition"]
            role = task["family"].rpartition("-")[2]
            found[role] = (task["containerDefinitions"][0]["image"], one["desiredCount"])
        return found

    def _prove(self, deployed: Deployed) -> Proof:
        self.examined.append(deployed)
        return self.proof()

    def _observe(self, step: Step[Release], state: State, _: str) -> None:
        self.shown.append((step.name, state))


@pytest.fixture
def operator(cloud: Cloud, checkout: Checkout, engine: RecordingEngine, tmp_path: Path) -> Operator:
    return Operator(cloud, checkout, engine, tmp_path)


def test_the_first_release_makes_everything_and_the_second_run_nothing(operator: Operator) -> None:
    error, record = operator.up()
    assert error is None
    assert operator.states() == {step.name: "done" for step in deploy.STEPS}
    assert record.outcome == "released"
    assert record.image is not None
    assert "@sha256:" in record.image
    assert operator.services() == {"auth": (record.image, 2), "registry": (record.image, 2)}
    assert operator.engine.verbs == ["build", "login", "push"]
    build = operator.engine.calls[0]["arguments"]
    assert build[1:3] == ["--platform", "linux/amd64"]
    assert record.release in build[build.index("--tag") + 1]
    assert build[build.index("--build-arg") + 1] == f"VERSION={record.release}"  # what the image says of itself

    operator.cloud.faults()
    again, _ = operator.up()
    assert again is None
    done = {"ready", "stable", "logs", "doctor"}  # looked at each time
    assert {name for name, state in operator.states().items() if state == "done"} == done
    assert not [one for one in operator.cloud.asked() if one.startswith(CHANGING)]
    assert len(operator.engine.calls) == 3


def test_the_keys_are_made_once_and_the_doctor_gets_the_operators(operator: Operator) -> None:
    operator.up()
    secrets = operator.cloud.client("secretsmanager")
    values = {
        one["Description"]: secrets.get_secret_value(SecretId=one["ARN"])["SecretString"]
        for one in secrets.list_secrets()["SecretList"]
    }
    assert len(values) == 6
    for words in ("The first operator key", "The key with which the registry asks the auth service"):
        assert isinstance(apikey.parse(values[words]), apikey.Key)
    (asked,) = operator.examined
    assert asked.operator_key == values["The first operator key"]
    assert (asked.url, asked.auth_url) == ("https://registry.example.org", "https://auth.example.org")
    assert asked.version == "0.1.0"
    told = repr(asked) + "".join(file.read_text() for file in operator.records.path.rglob("*.*"))
    assert not [value for value in values.values() if value in told]


def test_a_plan_changes_nothing_and_says_everything(operator: Operator) -> None:
    def planned() -> dict[str, Any]:
        operator.cloud.faults()
        steps = {one["step"]: one for one in deploy.plan(operator.release())}
        assert not [one for one in operator.cloud.asked() if one.startswith(CHANGING)]
        assert list(steps) == [step.name for step in deploy.STEPS]
        return steps

    first = planned()
    assert not any(one["done"] for one in first.values())
    assert all(one["will"] for one in first.values())
    assert "RegistryHost = registry.example.org" in first["stack"]["will"]
    assert operator.engine.calls == []
    assert not operator.records.path.exists()

    operator.up()
    operator.checkout.commit("second")
    operator.given["RegistryTasks"] = "3"
    second = planned()
    assert "RegistryTasks: 2 → 3" in second["stack"]["will"]
    assert second["keys"]["done"] is True
    assert "@sha256:" in "".join(second["services"]["will"])


def _refuse(operation: str, after: int = 0) -> Callable[[Operator], None]:
    return lambda operator: operator.cloud.faults(refuse={operation: 1}, after=after)


#: Each step's failure: how it is made to fail, and what the error is.
FAILURES: dict[str, tuple[Callable[[Operator], None], type[errors.HokusaiError]]] = {
    "ready": (lambda operator: Path(operator.engine.command).chmod(0o644), errors.EngineMissing),
    "stack": (lambda operator: operator.cloud.faults(stack="no such node type"), errors.StackFailed),
    "build": (lambda operator: operator.engine.breaks("build"), errors.EngineFailed),
    "push": (lambda operator: operator.engine.breaks("push"), errors.EngineFailed),
    "migrate": (lambda operator: operator.cloud.faults(exit=3), errors.MigrationFailed),
    "services": (_refuse("UpdateService", after=1), errors.CloudRefused),
    "stable": (lambda operator: operator.cloud.faults(rollout="FAILED"), errors.ServiceUnstable),
    "logs": (lambda operator: operator.cloud.faults(line="01:02 CRITICAL hokusai: HK6010"), errors.LogsComplain),
    "doctor": (lambda operator: setattr(operator, "proof", lambda: BAD), errors.NotProven),
}
TOUCHED = {"services", "stable", "logs", "doctor"}
RESUMED = {"stack": ["build", "login", "push"], "push": ["build", "login", "push"], "migrate": [], "doctor": []}


def test_each_steps_failure_is_taken_back_and_the_next_run_goes_on(operator: Operator) -> None:
    assert operator.up()[0] is None
    for name, (fail, wanted) in FAILURES.items():
        before = operator.services()
        operator.checkout.commit(f"to fail at {name}")
        operator.given |= {"LogDays": "30"} if name == "stack" else {}
        fail(operator)
        error, record = operator.up()
        assert isinstance(error, wanted), (name, error)
        assert operator.services() == before, name
        assert operator.states()[name] == ("undone" if name == "services" else "failed"), name
        assert ("services", "undone") in operator.shown or name not in TOUCHED
        assert record.outcome == ("rolled back" if name in TOUCHED else "stopped")
        assert (record.proof is not None) == (name in TOUCHED), f"{name}: the doctor has seen what is rolled back"
        written = json.loads(operator.records.file(record).read_text())
        assert written["error"]["code"] == wanted.code
        assert wanted.code in operator.records.file(record).with_suffix(".md").read_text()

        Path(operator.engine.command).chmod(0o755)
        operator.engine.breaks("")
        operator.cloud.faults()
        operator.proof = lambda: GOOD
        if name in RESUMED:
            calls = len(operator.engine.calls)
            assert operator.up()[0] is None, name
            assert operator.engine.verbs[calls:] == RESUMED[name], name
            assert operator.services() != before, name


def test_a_failure_after_the_proof_takes_nothing_back(operator: Operator) -> None:
    operator.proof = lambda: operator.cloud.faults(refuse={"CreateChangeSet": 1}) or GOOD  # type: ignore[func-returns-value]
    error, record = operator.up()
    assert isinstance(error, errors.CloudRefused)
    assert operator.states()["settle"] == "failed"
    assert record.image is not None
    assert operator.services()["registry"] == (record.image, 2)


def test_a_first_release_that_fails_leaves_no_service_running(operator: Operator) -> None:
    operator.proof = lambda: BAD
    error, record = operator.up()
    assert isinstance(error, errors.NotProven)
    assert "Old version running" in str(error)
    assert {desired for _, desired in operator.services().values()} == {0}
    assert record.proof == {"ok": False}


def test_a_stack_that_was_never_whole_is_deleted_by_hand_first(operator: Operator) -> None:
    operator.cloud.faults(stack="no such node type")
    for _ in range(2):
        error, _ = operator.up()
        assert isinstance(error, errors.StackFailed)
        assert "ROLLBACK_COMPLETE: Cache, no such node type" in str(error)
    operator.cloud.client("cloudformation").delete_stack(StackName="hokusai-staging")
    assert operator.up()[0] is None


def test_what_does_not_run_yet_is_not_protected(operator: Operator) -> None:
    """CloudFormation cannot take back a stack with a database that refuses to be deleted."""
    stack = deploy.stack_of(operator.aws, "staging")

    def protection() -> str:
        return stack.existing().parameters["DeletionProtection"]

    operator.cloud.faults(exit=3)
    assert isinstance(operator.up()[0], errors.MigrationFailed)
    assert protection() == "false"
    (settle,) = [one for one in deploy.plan(operator.release()) if one["step"] == "settle"]
    assert "protect the databases and the balancers from deletion" in settle["will"]
    operator.cloud.faults()
    assert operator.up()[0] is None
    assert operator.states()["stack"] == "already"
    assert protection() == "true"
    operator.up(DeletionProtection="false")
    assert operator.up()[0] is None
    assert protection() == "false"


def test_a_doctor_who_cannot_be_asked_keeps_nothing_from_being_taken_back(operator: Operator) -> None:
    operator.up()
    before = operator.services()
    operator.checkout.commit("second")
    operator.cloud.faults(rollout="FAILED", refuse={"GetSecretValue": 1}, after=2)  # which the keys need twice
    error, record = operator.up()
    assert isinstance(error, errors.ServiceUnstable)
    assert record.proof is None
    assert operator.services() == before


def test_keys_that_cannot_be_kept_stop_it(operator: Operator) -> None:
    operator.cloud.faults(refuse={"PutSecretValue": 1})
    error, _ = operator.up()
    assert isinstance(error, errors.CloudRefused)
    assert operator.states()["keys"] == "failed"
    operator.cloud.faults()
    assert operator.up()[0] is None


def test_ctrl_c_is_a_failure_like_another(operator: Operator) -> None:
    operator.up()
    before = operator.services()
    operator.checkout.commit("second")

    def interrupted() -> Proof:
        raise KeyboardInterrupt

    operator.proof = interrupted
    error, record = operator.up()
    assert isinstance(error, errors.Interrupted)
    assert operator.services() == before
    assert record.outcome == "rolled back"


def test_what_cannot_be_taken_back_is_told_with_the_command_for_it(operator: Operator) -> None:
    """The one role is refused; the other is rolled back all the same."""
    operator.up()
    before = operator.services()
    operator.checkout.commit("second")

    def refusing() -> Proof:
        operator.cloud.faults(refuse={"UpdateService": 1})
        return BAD

    operator.proof = refusing
    error, record = operator.up()
    assert isinstance(error, errors.NotProven)
    assert operator.states()["services"] == "stuck"
    assert record.outcome == "stopped"
    assert "aws ecs update-service --cluster" in record.steps[-1]["words"]
    after = operator.services()
    assert after["registry"] == before["registry"]
    assert after["auth"] != before["auth"]


def test_a_fault_of_our_own_is_taken_back_too(operator: Operator) -> None:
    operator.up()
    before = operator.services()
    operator.checkout.commit("second")
    operator.proof = lambda: {}["no such thing"]
    with pytest.raises(KeyError):
        operator.up()
    assert operator.services() == before
    assert operator.states()["services"] == "undone"
    latest = max(operator.records.path.glob("staging/*.json"), key=lambda one: one.stat().st_mtime_ns)
    assert json.loads(latest.read_text())["outcome"] == "rolled back"


def test_who_was_killed_goes_back_to_what_ran_before_it(operator: Operator) -> None:
    operator.up()
    before = operator.services()
    operator.checkout.commit("second")

    def killed() -> Proof:
        raise SystemExit

    operator.proof = killed
    release = operator.release()
    with pytest.raises(SystemExit):
        deploy.Run(deploy.STEPS, release, observe=lambda *_: None, diagnose=Release.diagnose).go()
    assert operator.services() != before
    operator.proof = lambda: BAD
    assert isinstance(operator.up()[0], errors.NotProven)
    assert operator.services() == before


def test_what_is_not_committed_is_not_released(operator: Operator) -> None:
    (operator.checkout.path / "news.txt").write_text("more")
    with pytest.raises(errors.SourceUnusable, match=r"news\.txt"):
        operator.release()


def test_a_parameter_without_a_value_is_named(operator: Operator) -> None:
    del operator.given["AuthHost"]
    error, _ = operator.up()
    assert isinstance(error, errors.ParametersMissing)
    assert "AuthHost" in str(error)


def test_down_wants_the_name_and_no_protection(operator: Operator) -> None:
    """In a VPC that was there: moto keeps the network interfaces of tasks that ended, and so their VPC."""
    operator.given |= operator.cloud.network()
    operator.up()
    stack = deploy.stack_of(operator.aws, "staging")
    with pytest.raises(errors.NameNotConfirmed):
        deploy.down(stack, confirmed="production")
    with pytest.raises(errors.Protected):
        deploy.down(stack, confirmed="staging")
    assert operator.services()["auth"][1] == 2
    operator.up(DeletionProtection="false")
    deploy.down(stack, confirmed="staging")
    with pytest.raises(errors.NotDeployed):
        deploy.status(operator.aws, stack)
