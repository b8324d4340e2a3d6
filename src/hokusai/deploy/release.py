"""One release to AWS: what it knows, and its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from hokusai import apikey, errors
from hokusai.deploy.aws import Aws
from hokusai.deploy.engine import Engine, Tell
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
    """The facts that one step finds and another needs. ``given`` are parameters of the template."""

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
        tell: Tell,
    ) -> None:
        self.aws = aws
        self.source = source
        self.engine = engine
        self.stack = stack
        self.prove = prove
        self.record = record
        self.records = records
        self.given = {**given, "Environment": record.environment}
        self.tell = tell
        self.secrets = Secrets(aws)
        self.revisions: dict[Role, str] = {}
        self.since = time.time()
        self._outputs: dict[str, str] = {}

    @property
    def outputs(self) -> dict[str, str]:
        """Of the stack, as it was when it was last looked at."""
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
        """Whether there is a stack that was whole once: one that failed while it was made tells nothing."""
        if not self._outputs and (state := self.stack.state()):
            self._outputs = dict(state.outputs)
        return bool(self._outputs)

    @property
    def settled(self) -> bool:
        """Whether a release has ever come to its end."""
        return self.there and bool(self.stack.existing().parameters.get("RegistryTaskDefinition"))

    @property
    def tagged(self) -> str:
        return f"{self.images.uri}:{self.source.tag}"

    @property
    def image(self) -> str:
        """By digest: what was pushed is what runs, whatever becomes of the tag."""
        if self.record.image is None:
            raise errors.ImageMissing(tag=self.source.tag, repository=self.images.uri)
        return self.record.image

    def built(self) -> bool:
        """Whether the repository has the image."""
        if self.there and self.record.image is None and (digest := self.images.digest(self.source.tag)):
            self.record.image = f"{self.images.uri}@{digest}"
        return self.record.image is not None

    def apply(self) -> str:
        """Bring the stack to the checkout's template."""
        words = self.stack.apply(self.source.template, self.parameters())
        self._outputs = {}
        return words

    def parameters(self) -> dict[str, str]:
        """With the revisions that run, so that an update of the stack changes none of them.

        Nothing is protected from deletion before it runs: a database that refuses to be deleted would keep
        CloudFormation from taking back a stack that fails while it is made.
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
        """By the doctor, with the deployment's own operator key; kept in the record."""
        url, auth_url = self.outputs["RegistryUrl"], self.outputs["AuthUrl"]
        key = self.secrets.get(self.outputs["OperatorKeySecret"])
        proof = self.prove(Deployed(url, auth_url, self.source.version, operator_key=key))
        self.record.proof, self.record.report = dict(proof.document), proof.markdown
        return proof

    def diagnose(self) -> None:
        """Have the doctor look at services that are about to be taken back, unless that was done."""
        if self.record.before and self.record.proof is None:
            self.tell("asking the doctor first")
            with suppress(errors.DeployError):  # what stopped the release is told; this says more about it
                self.examine()


# Each step: what it would do, whether it is done, doing it, undoing it.


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
            yield f"make a key and keep it in Secrets Manager ({name})"


def _keys(release: Release) -> str:
    accepted = release.stack.existing().parameters.get("KeyEnvironments", "live")
    missing = [name for name in _KEYS if not release.secrets.has(release.outputs[name])]
    for name in missing:
        key = apikey.mint("live" if "live" in accepted else "test")
        release.secrets.put(release.outputs[name], key.text)
    return f"{len(missing)} made"


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
        tell=release.tell,
    )
    return f"{release.source.tag} for {platform}"


def _plan_push(release: Release) -> Iterator[str]:
    yield f"push {_tagged(release)}"


def _push(release: Release) -> str:
    engine = release.engine()
    release.images.let_in(engine)
    engine.push(release.tagged, release.tell)
    release.built()
    return release.image


def _plan_migrate(release: Release) -> Iterator[str]:
    for role in ROLES:
        yield f"run {_of(release, role, 'MigrationArn', 'migration')} once with the new image, to its end"


def _migrate(release: Release) -> str:
    for role in ROLES:
        revision = release.services.register(role, release.image, migration=True)
        release.tell(f"{role}: {revision.rpartition('/')[2]}")
        release.services.migrate(role, revision)
    return " and ".join(ROLES)


def _plan_services(release: Release) -> Iterator[str]:
    for role in ROLES:
        if not release.there:
            yield f"{role}: start it"
            continue
        now = release.services.running(role)
        there = f"{now.desired} of {now.revision.rpartition('/')[2]} ({release.services.image(now.revision)})"
        yield f"{role}: runs {there}; then {release.services.count(role)} of a new revision"


def _running(release: Release) -> bool:
    """Whether both services are told to run this very image as the stack has it now."""
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
    release.records.write(record)  # who goes on after a kill knows what to go back to
    for role in ROLES:
        release.revisions[role] = release.services.register(role, release.image)
        release.services.update(role, release.revisions[role], release.services.count(role))
    record.services = {str(role): revision for role, revision in release.revisions.items()}
    return ", ".join(revision.rpartition("/")[2] for revision in release.revisions.values())


def _services_back(release: Release) -> str:
    """Every role is tried, also after one that failed."""
    before = release.record.before
    stuck = None
    for role in ROLES:
        if role in before:
            stuck = _back(release, role, *before[role]) or stuck
    if stuck is not None:
        raise stuck
    told = ", ".join(f"{desired} of {revision.rpartition('/')[2]}" for revision, desired in before.values())
    return told or "nothing had been changed"


def _back(release: Release, role: Role, revision: str, desired: int) -> errors.RollbackFailed | None:
    try:
        release.services.update(role, revision, desired)
        release.services.wait(role, revision)
    except errors.DeployError as error:
        name, cluster = release.services.name(role), release.outputs["ClusterName"]
        return errors.RollbackFailed(service=name, cluster=cluster, revision=revision, reason=str(error).rstrip("."))
    return None


def _plan_stable(_: Release) -> Iterator[str]:
    yield "wait until every task is the new one and ready"


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
        raise errors.NotProven(url=release.outputs["RegistryUrl"], cause=cause, cure=proof.cure or "See its report.")
    return proof.summary


def _plan_settle(release: Release) -> Iterator[str]:
    yield "write the new revisions into the stack, so that later updates of it keep them"
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


#: In this order. Whatever fails, what ran before runs again.
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
