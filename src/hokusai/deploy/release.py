"""One release to AWS: its facts and its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from hokusai import apikey, errors
from hokusai.deploy.aws import Aws
from hokusai.deploy.engine import Engine, OnLine
from hokusai.deploy.images import Images
from hokusai.deploy.proof import Deployed, Proof, Prove
from hokusai.deploy.record import Record, Records
from hokusai.deploy.secret import Secrets
from hokusai.deploy.services import ROLES, Role, Services
from hokusai.deploy.source import CONTAINERFILE, Source
from hokusai.deploy.stack import Stack
from hokusai.deploy.step import Step

_PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}
_KEYS = ("OperatorKeySecret", "ServiceKeySecret")


class Release:
    """The facts that steps find and pass on to later ones. ``given`` are parameters of the template."""

    def __init__(
        self,
        *,
        aws: Aws,
        source: Source,
        engine: Callable[[], Engine],
        stack: Stack,
        prove: Prove,
        record: Record,
        records: Records,
        given: dict[str, str],
        on_line: OnLine,
    ) -> None:
        self.aws = aws
        self.source = source
        self.engine = engine
        self.stack = stack
        self.prove = prove
        self.record = record
        self.records = records
        self.given = {**given, "Environment": record.environment}
        self.on_line = on_line
        self.secrets = Secrets(aws)
        self.revisions: dict[Role, str] = {}
        self.since = time.time()
        self._outputs: dict[str, str] = {}

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stack, as they were when they were last read."""
        if not self._outputs:
            self._outputs = dict(self.stack.existing().outputs)
        return self._outputs

    @property
    def services(self) -> Services:
        return Services(self.aws, self.outputs)

    @property
    def images(self) -> Images:
        return Images(self.aws, uri=self.outputs["RepositoryUri"], name=self.outputs["RepositoryName"])

    @property
    def there(self) -> bool:
        """Whether there is a complete stack. One that failed while it was created has no outputs."""
        if not self._outputs and (state := self.stack.state()):
            self._outputs = dict(state.outputs)
        return bool(self._outputs)

    @property
    def settled(self) -> bool:
        """Whether a release has ever been completed."""
        return self.there and bool(self.stack.existing().parameters.get("RegistryTaskDefinition"))

    @property
    def tagged(self) -> str:
        return f"{self.images.uri}:{self.source.tag}"

    @property
    def image(self) -> str:
        """With its digest: what was pushed is what runs, even if the tag is moved."""
        if self.record.image is None:
            raise errors.ImageMissing(tag=self.source.tag, repository=self.images.uri)
        return self.record.image

    def built(self) -> bool:
        """Whether the repository has the image."""
        if self.there and self.record.image is None and (digest := self.images.digest(self.source.tag)):
            self.record.image = f"{self.images.uri}@{digest}"
        return self.record.image is not None

    def apply(self) -> str:
        """Update the stack to the template in the checkout."""
        words = self.stack.apply(self.source.template, self.parameters())
        self._outputs = {}
        return words

    def parameters(self) -> dict[str, str]:
        """The parameters, with the revisions that run now, so that an update of the stack does not change these.

        Deletion protection comes after the first services run: a protected database would keep CloudFormation from
        rolling back a stack that fails while it is created.
        """
        if not self.there:
            return self.stack.parameters(self.source.template, {"DeletionProtection": "false", **self.given})
        run: dict[str, str] = {}
        for role in ROLES:
            now = self.services.running(role)
            run |= {f"{role.capitalize()}TaskDefinition": now.revision} if now.desired else {}
        if run and not self.settled:
            run["DeletionProtection"] = "true"
        return self.stack.parameters(self.source.template, {**run, **self.given})

    def examine(self) -> Proof:
        """Let the doctor examine the deployment, with its operator key. The proof is kept in the record."""
        url, auth_url = self.outputs["RegistryUrl"], self.outputs["AuthUrl"]
        key = self.secrets.get(self.outputs["OperatorKeySecret"])
        proof = self.prove(Deployed(url, auth_url, self.source.version, operator_key=key))
        self.record.proof, self.record.report = dict(proof.document), proof.markdown
        return proof

    def diagnose(self) -> None:
        """Let the doctor examine services that are about to be rolled back, unless it has done so already."""
        if self.record.before and self.record.proof is None:
            self.on_line("the doctor examines what failed")
            with suppress(errors.DeployError):  # the error that stopped the release is reported; this only adds to it
                self.examine()


# The functions of each step: plan, done, do and undo (see ``Step``).


def _plan_ready(release: Release) -> Iterator[str]:
    yield f"release {release.source.tag} to {release.record.environment}"
    yield f"account {release.aws.account}, region {release.aws.region}"
    try:
        yield f"build with {release.engine().name}"
    except errors.EngineMissing as error:
        yield f"stops here: {error.code} {error} {error.advice}"


def _ready(release: Release) -> str:
    return f"account {release.aws.account}, {release.aws.region}, {release.engine().name}"


def _plan_stack(release: Release) -> Iterator[str]:
    yield from release.stack.differences(release.source.template, release.parameters())


def _stack_done(release: Release) -> bool:
    return release.there and not any(_plan_stack(release))


def _plan_keys(release: Release) -> Iterator[str]:
    for name in _KEYS:
        if not release.there or not release.secrets.has(release.outputs[name]):
            yield f"create a key in Secrets Manager ({name})"


def _keys(release: Release) -> str:
    accepted = release.stack.existing().parameters.get("KeyEnvironments", "live")
    missing = [name for name in _KEYS if not release.secrets.has(release.outputs[name])]
    for name in missing:
        key = apikey.mint("live" if "live" in accepted else "test")
        release.secrets.put(release.outputs[name], key.text)
    return f"{len(missing)} created"


def _plan_build(release: Release) -> Iterator[str]:
    yield f"build {CONTAINERFILE} for {_platform(release)} as {_tagged(release)}"


def _build(release: Release) -> str:
    image, platform = release.tagged, _platform(release)
    release.engine().build(
        release.source.path,
        containerfile=CONTAINERFILE,
        image=image,
        version=release.source.tag,
        platform=platform,
        on_line=release.on_line,
    )
    return f"{release.source.tag} for {platform}"


def _plan_push(release: Release) -> Iterator[str]:
    yield f"push {_tagged(release)}"


def _push(release: Release) -> str:
    engine = release.engine()
    release.images.log_in(engine)
    engine.push(release.tagged, release.on_line)
    release.built()
    return release.image


def _plan_migrate(release: Release) -> Iterator[str]:
    for role in ROLES:
        yield f"run {_of(release, role, 'MigrationArn', 'migration')} once with the new image, until it ends"


def _migrate(release: Release) -> str:
    for role in ROLES:
        revision = release.services.register(role, release.image, migration=True)
        release.on_line(f"{role}: {revision.rpartition('/')[2]}")
        release.services.migrate(role, revision)
    return " and ".join(ROLES)


def _plan_services(release: Release) -> Iterator[str]:
    for role in ROLES:
        if not release.there:
            yield f"{role}: start"
            continue
        now = release.services.running(role)
        there = f"{now.desired} of {now.revision.rpartition('/')[2]} ({release.services.image(now.revision)})"
        yield f"{role}: now {there}; then {release.services.count(role)} of a new revision"


def _running(release: Release) -> bool:
    """Whether both services are set to run this image, with the stack's current settings."""
    if not release.built() or not all(release.services.fits(role, release.image) for role in ROLES):
        return False
    for role in ROLES:
        release.revisions[role] = release.services.running(role).revision
    return True


def _services(release: Release) -> str:
    record = release.record
    if not record.before:
        for role in ROLES:
            now = release.services.running(role)
            record.before[role] = (now.revision, now.desired)
    release.since = time.time()
    release.records.write(record)  # so that a run after a kill knows what to roll back to
    for role in ROLES:
        release.revisions[role] = release.services.register(role, release.image)
        release.services.update(role, release.revisions[role], release.services.count(role))
    record.services = {str(role): revision for role, revision in release.revisions.items()}
    return ", ".join(revision.rpartition("/")[2] for revision in release.revisions.values())


def _services_back(release: Release) -> str:
    """Rolls back every role, even after one that failed."""
    before = release.record.before
    stuck = None
    for role in ROLES:
        if role in before:
            stuck = _back(release, role, *before[role]) or stuck
    if stuck is not None:
        raise stuck
    restored = ", ".join(f"{desired} of {revision.rpartition('/')[2]}" for revision, desired in before.values())
    return restored or "nothing was changed"


def _back(release: Release, role: Role, revision: str, desired: int) -> errors.RollbackFailed | None:
    try:
        release.services.update(role, revision, desired)
        release.services.wait(role, revision)
    except errors.DeployError as error:
        name, cluster = release.services.name(role), release.outputs["ClusterName"]
        return errors.RollbackFailed(service=name, cluster=cluster, revision=revision, reason=str(error).rstrip("."))
    return None


def _plan_stable(_: Release) -> Iterator[str]:
    yield "wait until all tasks are new and ready"


def _stable(release: Release) -> str:
    found = {role: release.services.wait(role, revision) for role, revision in release.revisions.items()}
    return ", ".join(f"{role}: {one.running} running" for role, one in found.items())


def _plan_logs(release: Release) -> Iterator[str]:
    yield from (f"read {_of(release, role, 'LogGroup', 'log')} for critical lines" for role in ROLES)


def _logs(release: Release) -> str:
    counts = []
    for role in ROLES:
        lines = release.services.lines(role, release.since)
        if critical := next((line for line in lines if " CRITICAL " in line), None):
            service, group = release.services.name(role), release.services.log_group(role)
            raise errors.LogsComplain(service=service, group=group, line=critical[:300])
        wrong = sum(" ERROR " in line for line in lines)
        counts.append(f"{role} {len(lines)} lines, {wrong} errors")
    return "; ".join(counts)


def _plan_doctor(release: Release) -> Iterator[str]:
    url = release.outputs["RegistryUrl"] if release.there else f"https://{release.given.get('RegistryHost', '…')}"
    yield f"hokusai doctor {url} --expect-version {release.source.version}"


def _doctor(release: Release) -> str:
    proof = release.examine()
    if not proof.ok:
        cause = proof.cause.rstrip(".") or proof.summary.rstrip(".")
        raise errors.NotProven(
            url=release.outputs["RegistryUrl"], cause=cause, cure=proof.cure or "See the doctor's report."
        )
    return proof.summary


def _plan_settle(release: Release) -> Iterator[str]:
    yield "write the new revisions into the stack, so that later updates keep them"
    if not release.settled and "DeletionProtection" not in release.given:
        yield "protect the databases and the balancers from deletion"


def _settle_done(release: Release) -> bool:
    return _running(release) and _stack_done(release)


def _never(_: Release) -> bool:
    return False


def _of(release: Release, role: Role, what: str, word: str) -> str:
    return release.outputs[role.capitalize() + what].rpartition("/")[2] if release.there else f"{role}'s {word}"


def _tagged(release: Release) -> str:
    return release.tagged if release.there else f"REPOSITORY:{release.source.tag}"


def _platform(release: Release) -> str:
    used = release.outputs["ArchitectureUsed"] if release.there else release.given.get("Architecture", "X86_64")
    return _PLATFORMS[used]


#: In this order. If a step fails, what ran before runs again.
STEPS: tuple[Step[Release], ...] = (
    Step("ready", "Account and engine", _plan_ready, _never, _ready),
    Step("stack", "Stack", _plan_stack, _stack_done, Release.apply),
    Step("keys", "Keys", _plan_keys, lambda release: release.there and not any(_plan_keys(release)), _keys),
    Step("build", "Image built", _plan_build, Release.built, _build),
    Step("push", "Image pushed", _plan_push, Release.built, _push),
    Step("migrate", "Databases migrated", _plan_migrate, _running, _migrate),
    Step("services", "Services updated", _plan_services, _running, _services, undo=_services_back),
    Step("stable", "Services stable", _plan_stable, _never, _stable),
    Step("logs", "Logs read", _plan_logs, _never, _logs),
    Step("doctor", "Proven by the doctor", _plan_doctor, _never, _doctor),
    Step("settle", "Stack settled", _plan_settle, _settle_done, Release.apply, proven=True),
)
