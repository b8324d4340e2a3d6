"""Releases (HK80)."""

from __future__ import annotations

from pathlib import Path

from hokusai.errors.base import DeployError


class DeployExtraMissing(
    DeployError,
    code="HK8001",
    message="deploy: {module} is not installed.",
    remedy="Install it: pip install 'hokusai[deploy]'.",
):
    module: str


class RegionMissing(
    DeployError,
    code="HK8002",
    message="deploy: no AWS region was named.",
    remedy="Set AWS_REGION, for example to eu-central-1.",
): ...


class EnvironmentInvalid(
    DeployError,
    code="HK8003",
    message="deploy: {name!r} is not the name of an environment.",
    remedy="Set ENVIRONMENT to a word such as production: at most 16 lower-case letters, digits and hyphens.",
):
    name: str


class CredentialsMissing(
    DeployError,
    code="HK8004",
    message="deploy: AWS credentials are missing or were not accepted: {reason}.",
    remedy="Log in (aws sso login), name a profile in AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
):
    reason: str


class SourceUnusable(
    DeployError,
    code="HK8005",
    message="deploy: {path} cannot be released: {reason}.",
    remedy="Run this in a checkout of Hokusai with everything committed, or name one with --source.",
):
    """A release is named after its commit, so it contains only what is committed."""

    path: Path
    reason: str


class EngineMissing(
    DeployError,
    code="HK8006",
    message="deploy: no command that builds images was found.",
    remedy="Install podman, docker or buildah, or name one: --engine COMMAND.",
): ...


class ParametersMissing(
    DeployError,
    code="HK8007",
    message="deploy: the template's parameters do not fit: {reason}.",
    remedy="Set each parameter of the template once: hokusai deploy aws up --set NAME=VALUE. Later releases keep it.",
):
    reason: str


class NotDeployed(
    DeployError,
    code="HK8008",
    message="deploy: there is no stack {stack} in {region}.",
    remedy="Check AWS_REGION and ENVIRONMENT; to create the stack: hokusai deploy aws up.",
):
    stack: str
    region: str


class NameNotConfirmed(
    DeployError,
    code="HK8009",
    message="deploy: nothing was deleted: the environment's name was not confirmed.",
    remedy="Type it when you are asked, or give it: --yes {environment}.",
):
    environment: str


class Protected(
    DeployError,
    code="HK8010",
    message="deploy: the databases and load balancers of {environment} are protected from deletion.",
    remedy="To delete them after all: hokusai deploy aws up --set DeletionProtection=false, then down again.",
):
    environment: str


class CloudRefused(
    DeployError,
    code="HK8011",
    message="deploy: AWS refused {operation}: {reason}.",
    remedy="Find out which permission or limit is meant, then run the command again: it continues where it stopped.",
):
    """``kind`` is AWS's own code for it."""

    operation: str
    reason: str
    kind: str


class CloudUnreachable(
    DeployError,
    code="HK8012",
    message="deploy: AWS does not answer: {reason}.",
    remedy="Check the network and AWS_REGION, then run the command again: it continues where it stopped.",
):
    reason: str


class StackFailed(
    DeployError,
    code="HK8013",
    message="deploy: the stack {stack} is {state}: {reason}.",
    remedy="See its events: aws cloudformation describe-stack-events --stack-name {stack}. "
    "A stack whose creation failed must be deleted before the next try: "
    "aws cloudformation delete-stack --stack-name {stack}.",
):
    stack: str
    state: str
    reason: str


class EngineFailed(
    DeployError,
    code="HK8014",
    message="deploy: {command} {outcome}: {reason}.",
    remedy="Run that command by hand to see its whole output.",
):
    command: str
    outcome: str
    reason: str


class ImageMissing(
    DeployError,
    code="HK8015",
    message="deploy: the registry does not have the image {tag}, although the push succeeded.",
    remedy="Check that the engine pushed to {repository}.",
):
    tag: str
    repository: str


class MigrationFailed(
    DeployError,
    code="HK8016",
    message="deploy: the migration {name} failed: {reason}.",
    remedy="See its log: aws logs tail {group} --since 1h. Nothing else was changed.",
):
    name: str
    reason: str
    group: str


class ServiceUnstable(
    DeployError,
    code="HK8017",
    message="deploy: the service {service} did not become stable: {reason}.",
    remedy="See its log: aws logs tail {group} --since 1h.",
):
    service: str
    reason: str
    group: str


class LogsComplain(
    DeployError,
    code="HK8018",
    message="deploy: the log of {service} has a critical line: {line}.",
    remedy="See the whole log: aws logs tail {group} --since 1h.",
):
    service: str
    line: str
    group: str


class NotProven(
    DeployError,
    code="HK8019",
    message="deploy: the doctor says that {url} does not work: {cause}.",
    remedy="{cure}",
):
    url: str
    cause: str
    cure: str


class Interrupted(
    DeployError,
    code="HK8020",
    message="deploy: interrupted during: {step}.",
    remedy="Run the command again: it continues where it stopped.",
):
    """Ctrl-C, or a signal. The command exits with 130."""

    step: str


class RollbackFailed(
    DeployError,
    code="HK8021",
    message="deploy: {service} could not be rolled back to {revision}: {reason}.",
    remedy="By hand: aws ecs update-service --cluster {cluster} --service {service} --task-definition {revision}.",
):
    service: str
    cluster: str
    revision: str
    reason: str
