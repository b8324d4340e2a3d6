"""The template is created as a stack in an account of moto's, and then the account is queried.

moto does not store some properties: a service's circuit breaker and network, the cache's encryption, a
balancer's attributes, a database's security group. Those are asserted from the template itself; everything
else is what the account answers.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
import yaml

from hokusai import apikey, setting_conflicts
from hokusai.cli.app import app
from hokusai.deploy import source
from hokusai.server import uvicorn_config
from hokusai.server.draining import GRACE_SECONDS
from hokusai.settings import Settings
from tests.deploy.cloud import ROOT, Cloud

TEXT = (ROOT / "deploy" / "aws" / "template.yaml").read_text()
TASKS = ("AuthTask", "RegistryTask", "AuthMigration", "RegistryMigration")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    pass


def _function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    """A short form, such as ``!Ref``, as the long one."""
    value: Any = node.value
    if isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    elif name == "GetAtt":
        value = value.split(".")
    return {"Ref" if name in {"Ref", "Condition"} else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)
TEMPLATE: dict[str, Any] = yaml.load(TEXT, _Loader)


@dataclass
class Made:
    """The stack. ``ids`` are of its resources, by their names in the template."""

    cloud: Cloud
    ids: dict[str, str]

    @cached_property
    def groups(self) -> dict[str, str]:
        """Names of security groups by their ids."""
        return {
            self.ids[name]: name for name, one in TEMPLATE["Resources"].items() if one["Type"].endswith("SecurityGroup")
        }

    def task(self, name: str) -> dict[str, Any]:
        found = self.cloud.client("ecs").describe_task_definition(taskDefinition=self.ids[name])
        task: dict[str, Any] = found["taskDefinition"]
        return task

    def container(self, name: str) -> dict[str, Any]:
        (container,) = self.task(name)["containerDefinitions"]
        found: dict[str, Any] = container
        return found

    def environment(self, name: str) -> dict[str, str]:
        return {one["name"]: one["value"] for one in self.container(name)["environment"]}

    def statements(self, role: str) -> Iterator[tuple[str, str]]:
        """Each action that a role may take, and on what."""
        iam = self.cloud.client("iam")
        for policy in iam.list_role_policies(RoleName=self.ids[role])["PolicyNames"]:
            document = iam.get_role_policy(RoleName=self.ids[role], PolicyName=policy)["PolicyDocument"]
            for one in document["Statement"]:
                assert one["Effect"] == "Allow"
                yield from ((action, where) for action in _list(one["Action"]) for where in _list(one["Resource"]))
        assert not iam.list_attached_role_policies(RoleName=self.ids[role])["AttachedPolicies"]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def made(account: Cloud) -> Made:
    account.empty()
    return Made(account, account.stack("hokusai-production", TEXT, account.parameters()))


def test_every_resource_is_made(made: Made) -> None:
    wanted = {name for name, one in TEMPLATE["Resources"].items() if one.get("Condition") != "HasZone"}
    assert set(made.ids) == wanted - {"DatabaseSubnets"}  # moto tells no id of it; the databases have it
    stack = made.cloud.client("cloudformation").describe_stacks(StackName="hokusai-production")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert {one["OutputKey"] for one in stack["Outputs"]} == set(TEMPLATE["Outputs"])


def test_it_fits_into_one_request() -> None:
    """CloudFormation takes a body of at most 51,200 bytes, and no YAML aliases."""
    sent = source.without_comments(TEXT)
    assert len(sent.encode()) < 51_200
    assert yaml.load(sent, _Loader) == TEMPLATE


def test_who_reaches_whom(made: Made) -> None:
    reached = set()
    for group in made.cloud.client("ec2").describe_security_groups(GroupIds=list(made.groups))["SecurityGroups"]:
        to = made.groups[group["GroupId"]]
        for rule in group["IpPermissions"]:
            port = rule["FromPort"]
            assert rule["ToPort"] == port
            reached |= {(made.groups[pair["GroupId"]], to, port) for pair in rule["UserIdGroupPairs"]}
            reached |= {(one["CidrIp"], to, port) for one in rule["IpRanges"]}
            assert not rule.get("Ipv6Ranges")
    assert reached == {
        ("0.0.0.0/0", "AuthBalancerSecurity", 443),
        ("0.0.0.0/0", "AuthBalancerSecurity", 80),
        ("0.0.0.0/0", "RegistryBalancerSecurity", 443),
        ("0.0.0.0/0", "RegistryBalancerSecurity", 80),
        ("AuthBalancerSecurity", "AuthTaskSecurity", 5050),
        ("RegistryBalancerSecurity", "RegistryTaskSecurity", 5050),
        ("RegistryTaskSecurity", "AuthTaskSecurity", 5051),
        ("AuthTaskSecurity", "AuthDatabaseSecurity", 5432),
        ("RegistryTaskSecurity", "RegistryDatabaseSecurity", 5432),
        ("AuthTaskSecurity", "CacheSecurity", 6379),
        ("RegistryTaskSecurity", "CacheSecurity", 6379),
    }


def test_what_each_task_may_do(made: Made) -> None:
    bucket = f"arn:aws:s3:::{made.ids['Bucket']}"
    assert set(made.statements("RegistryTaskRole")) == {
        ("s3:ListBucket", bucket),
        ("s3:GetObject", f"{bucket}/artifacts/*"),
        ("s3:PutObject", f"{bucket}/artifacts/*"),
        ("s3:DeleteObject", f"{bucket}/artifacts/*"),
        ("s3:AbortMultipartUpload", f"{bucket}/artifacts/*"),
    }
    assert set(made.statements("AuthTaskRole")) == set()
    assert made.task("RegistryTask")["taskRoleArn"].endswith(made.ids["RegistryTaskRole"])
    assert made.task("AuthTask")["taskRoleArn"].endswith(made.ids["AuthTaskRole"])
    for migration in ("AuthMigration", "RegistryMigration"):
        assert "taskRoleArn" not in made.task(migration)


#: Which of the six secrets each task is started with; its execution role may read these and no more.
SECRETS = {
    "AuthTask": {"AuthDatabasePassword", "KeyPepper", "CacheToken"},
    "RegistryTask": {"RegistryDatabasePassword", "ServiceKey", "CacheToken"},
    "AuthMigration": {"AuthDatabasePassword", "KeyPepper", "OperatorKey", "ServiceKey"},
    "RegistryMigration": {"RegistryDatabasePassword"},
}


@pytest.mark.parametrize("task", TASKS)
def test_who_reads_which_secret(made: Made, task: str) -> None:
    names = {made.ids[name]: name for name, one in TEMPLATE["Resources"].items() if one["Type"].endswith("::Secret")}
    assert len(names) == 6
    assert {names[one["valueFrom"]] for one in made.container(task)["secrets"]} == SECRETS[task]
    role = next(name for name, physical in made.ids.items() if made.task(task)["executionRoleArn"].endswith(physical))
    allowed = {names[where] for action, where in made.statements(role) if action.startswith("secretsmanager:")}
    shared = SECRETS["RegistryTask"] if task == "RegistryMigration" else SECRETS[task]  # these two share a role
    assert allowed == shared
    assert [action for action, where in made.statements(role) if where == "*"] == ["ecr:GetAuthorizationToken"]
    said = json.dumps(made.environment(task))
    assert "PASSWORD" not in said
    assert "hk_" not in said


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_shut_in(made: Made, task: str) -> None:
    facts, container = made.task(task), made.container(task)
    assert facts["networkMode"] == "awsvpc"
    assert facts["requiresCompatibilities"] == ["FARGATE"]
    assert container["readonlyRootFilesystem"] is True
    assert {one["containerPath"] for one in container["mountPoints"]} == {"/data", "/tmp"}
    assert "privileged" not in container


@pytest.mark.parametrize("task", TASKS)
def test_the_server_takes_the_settings(made: Made, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is a setting, and has a value that it takes."""
    variables = made.environment(task) | {one["name"]: "a-secret" for one in made.container(task)["secrets"]}
    ours = {name.removeprefix("HOKUSAI_").lower() for name in variables if name.startswith("HOKUSAI_")}
    assert ours <= set(Settings.model_fields)
    assert set(variables) - {f"HOKUSAI_{name.upper()}" for name in ours} <= {"PGPASSWORD", "AWS_REGION"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert str(settings.database_url).endswith("?sslmode=verify-full&sslrootcert=/opt/hokusai/rds.pem")
    command, option, role = made.container(task)["command"]
    assert (command, option) == ("migrate" if "Migration" in task else "serve", "--role")
    assert role == ("auth" if "Auth" in task else "registry")
    assert command in {one.name for one in app.registered_commands}
    if command == "serve":
        assert settings.redis_url is not None
        assert settings.redis_url.get_secret_value().startswith("rediss://")
        assert settings.redis_password is not None
        setting_conflicts.refuse(settings)
        assert made.container(task)["stopTimeout"] > settings.drain_seconds + GRACE_SECONDS
        assert settings.trusted_proxies


def test_the_registry_finds_the_auth_service(made: Made) -> None:
    """Past the balancer, on the port that the registry's tasks alone may reach."""
    (published,) = TEMPLATE["Resources"]["AuthService"]["Properties"]["ServiceConnectConfiguration"]["Services"]
    (alias,) = published["ClientAliases"]
    assert made.environment("RegistryTask")["HOKUSAI_AUTH_URL"] == f"http://{alias['DnsName']}:{alias['Port']}"
    assert published["IngressPortOverride"] == 5051
    assert published["PortName"] == made.container("AuthTask")["portMappings"][0]["name"]


@pytest.mark.parametrize("role", ["Auth", "Registry"])
def test_a_balancer_forwards_its_host_and_nothing_else(made: Made, role: str) -> None:
    elb = made.cloud.client("elbv2")
    listeners = elb.describe_listeners(LoadBalancerArn=made.ids[f"{role}Balancer"])["Listeners"]
    secure, plain = sorted(listeners, key=lambda one: -int(one["Port"]))
    assert (secure["Port"], secure["Protocol"], plain["Port"], plain["Protocol"]) == (443, "HTTPS", 80, "HTTP")
    (nothing,) = secure["DefaultActions"]
    assert nothing["FixedResponseConfig"]["StatusCode"] == "404"
    (redirect,) = plain["DefaultActions"]
    assert redirect["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    rules = [one for one in elb.describe_rules(ListenerArn=secure["ListenerArn"])["Rules"] if not one["IsDefault"]]
    (rule,) = rules
    (condition,) = rule["Conditions"]
    assert condition["HostHeaderConfig"]["Values"] == [f"{role.lower()}.example.org"]
    assert rule["Actions"][0]["TargetGroupArn"] == made.ids[f"{role}Targets"]


@pytest.mark.parametrize("role", ["Auth", "Registry"])
def test_a_balancer_and_the_server_agree(made: Made, role: str) -> None:
    elb = made.cloud.client("elbv2")
    (targets,) = elb.describe_target_groups(TargetGroupArns=[made.ids[f"{role}Targets"]])["TargetGroups"]
    assert targets["HealthCheckPath"] == "/ready"
    assert targets["Matcher"] == {"HttpCode": "200"}
    assert targets["TargetType"] == "ip"
    assert targets["Port"] == made.container(f"{role}Task")["portMappings"][0]["containerPort"] == 5050
    balancer = TEMPLATE["Resources"][f"{role}Balancer"]["Properties"]["LoadBalancerAttributes"]
    attributes = {one["Key"]: one["Value"] for one in balancer}
    assert float(attributes["idle_timeout.timeout_seconds"]) < uvicorn_config.KEEP_ALIVE
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert (attributes["access_logs.s3.enabled"], attributes["access_logs.s3.prefix"]) == ("true", role.lower())
    assert attributes["access_logs.s3.bucket"] == {"Ref": "AccessLogs"}
    assert TEMPLATE["Resources"][f"{role}Balancer"]["DependsOn"] == "AccessLogsPolicy"


@pytest.mark.parametrize("role", ["Auth", "Registry"])
def test_a_service_that_fails_is_rolled_back_by_ecs(role: str) -> None:
    service = TEMPLATE["Resources"][f"{role}Service"]["Properties"]
    assert service["DeploymentConfiguration"] == {
        "MaximumPercent": 200,
        "MinimumHealthyPercent": 100,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    assert service["HealthCheckGracePeriodSeconds"] >= 120
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert network["SecurityGroups"] == [{"Fn::GetAtt": [f"{role}TaskSecurity", "GroupId"]}]
    assert "PublicSubnet" not in json.dumps(network)


@pytest.mark.parametrize("role", ["Auth", "Registry"])
def test_a_database_is_kept(made: Made, role: str) -> None:
    rds = made.cloud.client("rds")
    (found,) = rds.describe_db_instances(DBInstanceIdentifier=made.ids[f"{role}Database"])["DBInstances"]
    assert found["StorageEncrypted"] is True
    assert found["PubliclyAccessible"] is False
    assert found["BackupRetentionPeriod"] == 14
    monitored = TEMPLATE["Resources"][f"{role}Database"]["Properties"]
    assert (monitored["MonitoringInterval"], monitored["MonitoringRoleArn"]) == (
        60,
        {"Fn::GetAtt": ["Monitoring", "Arn"]},
    )
    assert found["MultiAZ"] is True
    resource = TEMPLATE["Resources"][f"{role}Database"]
    assert resource["Properties"]["VPCSecurityGroups"] == [{"Fn::GetAtt": [f"{role}DatabaseSecurity", "GroupId"]}]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Snapshot"
    assert resource["Properties"]["DeletionProtection"] == {"Ref": "DeletionProtection"}
    assert TEMPLATE["Parameters"]["DeletionProtection"]["Default"] == "true"
    subnets = {made.ids["PrivateSubnetA"], made.ids["PrivateSubnetB"]}
    assert {one["SubnetIdentifier"] for one in found["DBSubnetGroup"]["Subnets"]} == subnets


def test_private_subnets_have_no_way_in(made: Made) -> None:
    tables = made.cloud.client("ec2").describe_route_tables(RouteTableIds=[made.ids["PrivateRoutes"]])["RouteTables"]
    gateways = {route.get("GatewayId", "") for one in tables for route in one["Routes"]}
    assert not [one for one in gateways if one.startswith("igw-")]
    assert made.ids["Nat"] in {route.get("NatGatewayId") for one in tables for route in one["Routes"]}


def test_the_cache_is_asked_over_tls_alone() -> None:
    cache = TEMPLATE["Resources"]["Cache"]["Properties"]
    assert cache["TransitEncryptionEnabled"] is True
    assert cache["TransitEncryptionMode"] == "required"
    assert cache["AtRestEncryptionEnabled"] is True
    assert cache["AuthToken"] == {"Fn::Sub": "{{resolve:secretsmanager:${CacheToken}}}"}


def test_the_bucket_is_ours_alone(made: Made) -> None:
    s3, name = made.cloud.client("s3"), made.ids["Bucket"]
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert set(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]}
    assert rules["uploads-cut-short"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    assert made.environment("RegistryTask")["HOKUSAI_ARTIFACTS_URL"] == f"s3://{name}/artifacts"
    assert "HOKUSAI_ARTIFACTS_URL" not in made.environment("AuthTask")


def test_access_is_logged_into_a_bucket_of_its_own(made: Made) -> None:
    s3, name = made.cloud.client("s3"), made.ids["AccessLogs"]
    assert s3.get_bucket_logging(Bucket=made.ids["Bucket"])["LoggingEnabled"]["TargetBucket"] == name
    assert set(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values()) == {True}
    bucket, balancers, deny = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert balancers["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert balancers["Resource"].endswith("/*/AWSLogs/123456789012/*")
    assert bucket["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert rule["Expiration"] == {"Days": 90}


def test_a_key_of_the_customers_is_used_for_secrets_and_logs(made: Made) -> None:
    for resource in TEMPLATE["Resources"].values():
        if resource["Type"] in {"AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"}:
            assert resource["Properties"]["KmsKeyId"]["Fn::If"][:2] == ["HasKey", {"Ref": "KmsKeyArn"}]
    statements = TEMPLATE["Resources"]["Start"]["Properties"]["PolicyDocument"]["Statement"]
    decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": {"Ref": "KmsKeyArn"}}
    assert statements[-1]["Fn::If"] == ["HasKey", decrypt, {"Ref": "AWS::NoValue"}]
    assert "kms:Decrypt" not in {action for action, _ in made.statements("AuthExecution")}


def test_what_a_scanner_is_told_to_leave_out_has_its_reason() -> None:
    """``make scan`` fails for everything else."""
    skipped = {
        (name, one["id"])
        for name, resource in TEMPLATE["Resources"].items()
        for one in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
        if len(one["comment"].split()) >= 5
    }
    assert skipped == {
        ("AuthBalancerSecurity", "CKV_AWS_260"),
        ("RegistryBalancerSecurity", "CKV_AWS_260"),
        ("AuthDatabase", "CKV_AWS_157"),
        ("AuthDatabase", "CKV_AWS_161"),
        ("RegistryDatabase", "CKV_AWS_157"),
        ("RegistryDatabase", "CKV_AWS_161"),
        ("AccessLogs", "CKV_AWS_18"),
        ("Repository", "CKV_AWS_136"),
    }
    assert sum("checkov" in resource.get("Metadata", {}) for resource in TEMPLATE["Resources"].values()) == 6


def test_an_image_is_never_replaced(made: Made) -> None:
    (found,) = made.cloud.client("ecr").describe_repositories()["repositories"]
    assert found["imageTagMutability"] == "IMMUTABLE"
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}


def test_logs_are_kept_for_a_time(made: Made) -> None:
    found = {one["logGroupName"]: one for one in made.cloud.client("logs").describe_log_groups()["logGroups"]}
    for task in TASKS:
        group = made.container(task)["logConfiguration"]["options"]["awslogs-group"]
        assert group == made.ids["AuthLogs" if "Auth" in task else "RegistryLogs"]
        assert found[group]["retentionInDays"] == 90


def test_there_is_an_alarm_for_what_breaks(made: Made) -> None:
    alarms = made.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    metrics = sorted(one["MetricName"] for one in alarms)
    wanted = ["CPUUtilization", "FreeStorageSpace", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"]
    assert metrics == sorted([*wanted, "HealthyHostCount", "MemoryUtilization", "UnHealthyHostCount"] * 2)
    dimensions = {value["Value"] for one in alarms for value in one["Dimensions"]}
    assert made.ids["AuthDatabase"] in dimensions
    assert made.ids["RegistryBalancer"].partition(":loadbalancer/")[2] in dimensions


@pytest.mark.parametrize("role", ["Auth", "Registry"])
def test_an_outage_at_night_raises_an_alarm(role: str) -> None:
    """Who has no task left counts none as unhealthy, and without traffic no balancer answers with 5xx."""
    (alarm,) = [
        one["Properties"]
        for one in TEMPLATE["Resources"].values()
        if '"HealthyHostCount"' in json.dumps(one) and f"{role}Targets" in json.dumps(one)
    ]
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == ("LessThanThreshold", 1, "Maximum")
    assert alarm["TreatMissingData"] == {"Fn::If": [f"{role}Runs", "breaching", "notBreaching"]}


def test_a_balancer_waits_for_the_way_to_the_internet() -> None:
    """AWS makes none that faces the internet in a VPC without a gateway, and takes no gateway from under one."""
    for subnet in ("PublicSubnetA", "PublicSubnetB"):
        assert TEMPLATE["Resources"][subnet]["DependsOn"] == "GatewayAttachment"
        assert {"Ref": subnet} in TEMPLATE["Resources"]["AuthBalancer"]["Properties"]["Subnets"]["Fn::If"][1]


KEPT = {"Bucket", "BucketPolicy", "AccessLogs", "AccessLogsPolicy", "AuthLogs", "RegistryLogs"}
KEPT |= {name for name, one in TEMPLATE["Resources"].items() if one["Type"].endswith("::Secret")}


def test_what_stays_after_down_and_what_a_failed_first_try_leaves() -> None:
    """The bucket stays with its policy. A stack that did not come to be leaves none of it."""
    policies = {name: one.get("DeletionPolicy") for name, one in TEMPLATE["Resources"].items()}
    assert {name for name, policy in policies.items() if policy == "RetainExceptOnCreate"} == KEPT
    assert set(policies.values()) == {None, "RetainExceptOnCreate", "Snapshot", "Delete"}


def test_nothing_runs_before_there_is_an_image(made: Made) -> None:
    ecs = made.cloud.client("ecs")
    services = ecs.describe_services(
        cluster=made.ids["Cluster"], services=[made.ids["AuthService"], made.ids["RegistryService"]]
    )["services"]
    assert [one["desiredCount"] for one in services] == [0, 0]


def test_without_the_command_an_image_is_given_by_its_digest(made: Made) -> None:
    digest = "sha256:" + "0" * 64
    given = {**made.cloud.parameters(), **made.cloud.network(), "Environment": "other", "ImageDigest": digest}
    other = Made(made.cloud, made.cloud.stack("by-hand", TEXT, given))
    assert {other.container(task)["image"].partition("@")[2] for task in TASKS} == {digest}
    found = other.cloud.client("ecs").describe_services(
        cluster=other.ids["Cluster"], services=[other.ids["AuthService"], other.ids["RegistryService"]]
    )
    assert [one["desiredCount"] for one in found["services"]] == [2, 2]
    assert not [name for name in other.ids if TEMPLATE["Resources"][name].get("Condition") == "MakeVpc"]


def test_the_guide_names_what_there_is() -> None:
    guide = (ROOT / "docs" / "how-to" / "aws.md").read_text()
    assert set(re.findall(r"--set (\w+)=", guide)) <= set(TEMPLATE["Parameters"])
    required = {name for name, one in TEMPLATE["Parameters"].items() if "Default" not in one}
    assert required <= set(re.findall(r"--set (\w+)=", guide))
    words = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", guide))
    assert words <= {*TEMPLATE["Parameters"], *TEMPLATE["Outputs"], *TEMPLATE["Resources"]}


def test_the_guide_makes_keys_that_are_keys() -> None:
    (line,) = re.findall(r"python -c '(.+)'", (ROOT / "docs" / "how-to" / "aws.md").read_text())
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert isinstance(apikey.parse(ran.stdout.strip()), apikey.Key)
