"""Resource types that moto's CloudFormation lacks, or creates without most properties, created by its other services.

Each type calls the service's API on this very server, over boto3: so the template's properties are checked by
botocore's model of that API, and can be read back afterwards.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import string
from typing import Any

import boto3
import yaml
from moto.cloudformation import parsing
from moto.cloudformation.utils import yaml_tag_constructor
from moto.core.common_models import CloudFormationModel

Properties = dict[str, Any]


@functools.cache
def api(service: str) -> Any:
    return boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=os.environ["AWS_REGION"])


def _valued(value: Any) -> Any:
    """Without AWS::NoValue, which moto leaves in lists."""
    if isinstance(value, list):
        return [_valued(one) for one in value if one is not None]
    return {key: _valued(one) for key, one in value.items()} if isinstance(value, dict) else value


class _Through:
    """``make`` returns the physical id and the attributes."""

    def __init__(self, physical: str, attributes: dict[str, str]) -> None:
        self.physical_resource_id = physical
        self.attributes = attributes
        self.properties: Properties = {}

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    def get_cfn_attribute(self, name: str) -> str:
        return self.attributes[name]

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(cls, name: str, given: Any, account: str, region: str, **_: Any) -> Any:
        properties = _valued(given["Properties"])
        made = cls(*cls.make(name, properties))
        made.properties = properties
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> Any:
        properties = cloudformation_json["Properties"]
        if original_resource.properties == properties:
            return original_resource
        made = cls(*cls.change(original_resource.physical_resource_id, new_resource_name, properties))
        made.properties = properties
        return made

    @classmethod
    def delete_from_cloudformation_json(cls, name: str, given: Any, account: str, region: str) -> None:
        pass

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        raise NotImplementedError

    @classmethod
    def change(cls, physical: str, name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        return cls.make(name, properties)


class Secret(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SecretsManager::Secret"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        facts = {"Name": name, "Description": properties["Description"]}
        if rule := properties.get("GenerateSecretString"):
            assert rule["ExcludePunctuation"] is True
            letters = string.ascii_letters + string.digits
            facts["SecretString"] = "".join(secrets.choice(letters) for _ in range(rule["PasswordLength"]))
        return api("secretsmanager").create_secret(**facts)["ARN"], {}


class Alarm(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudWatch::Alarm"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        api("cloudwatch").put_metric_alarm(AlarmName=name, **properties)
        return name, {}


class Role(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::IAM::Role"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        arn = api("iam").create_role(RoleName=name[:64], AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        for one in properties.get("Policies", ()):
            document = json.dumps(one["PolicyDocument"])
            api("iam").put_role_policy(RoleName=name[:64], PolicyName=one["PolicyName"], PolicyDocument=document)
        return name[:64], {"Arn": arn}


class Policy(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::IAM::Policy"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        document = json.dumps(properties["PolicyDocument"])
        for role in properties["Roles"]:
            api("iam").put_role_policy(RoleName=role, PolicyName=properties["PolicyName"], PolicyDocument=document)
        return name, {}


class Repository(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ECR::Repository"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        facts = _camel({key: properties[key] for key in ("RepositoryName", "ImageTagMutability")})
        facts["imageScanningConfiguration"] = _camel(properties["ImageScanningConfiguration"])
        made = api("ecr").create_repository(**facts)["repository"]
        policy = properties["LifecyclePolicy"]["LifecyclePolicyText"]
        api("ecr").put_lifecycle_policy(repositoryName=made["repositoryName"], lifecyclePolicyText=policy)
        return made["repositoryName"], {"Arn": made["repositoryArn"], "RepositoryUri": made["repositoryUri"]}

    @classmethod
    def delete_from_cloudformation_json(cls, name: str, given: Any, account: str, region: str) -> None:
        assert given["Properties"]["EmptyOnDelete"] is True
        api("ecr").delete_repository(repositoryName=name, force=True)


class Bucket(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::Bucket"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        s3, name = api("s3"), name.lower()
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": os.environ["AWS_REGION"]})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"])
        s3.put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
        )
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        by_default = {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [by_default]})
        s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=properties["OwnershipControls"])
        rules = [_lifecycle(one) for one in properties["LifecycleConfiguration"]["Rules"]]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
        if logs := properties.get("LoggingConfiguration"):
            target = {"TargetBucket": logs["DestinationBucketName"], "TargetPrefix": logs["LogFilePrefix"]}
            s3.put_bucket_logging(Bucket=name, BucketLoggingStatus={"LoggingEnabled": target})
        return name, {"Arn": f"arn:aws:s3:::{name}"}


def _lifecycle(rule: Properties) -> Properties:
    found = {("ID" if key == "Id" else key): value for key, value in rule.items()} | {"Filter": {"Prefix": ""}}
    if days := found.pop("ExpirationInDays", None):
        found["Expiration"] = {"Days": int(days)}
    return found


class BucketPolicy(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        policy = json.dumps(properties["PolicyDocument"])
        api("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=policy)
        return name, {}


class CacheSubnets(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ElastiCache::SubnetGroup"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        facts = {"CacheSubnetGroupDescription": properties["Description"], "SubnetIds": properties["SubnetIds"]}
        api("elasticache").create_cache_subnet_group(CacheSubnetGroupName=name.lower(), **facts)
        return name.lower(), {}


class ReplicationGroup(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ElastiCache::ReplicationGroup"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        api("elasticache").create_replication_group(ReplicationGroupId=name.lower(), **properties)
        return name.lower(), {"PrimaryEndPoint.Address": f"{name.lower()}.cache.internal"}


class HttpNamespace(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ServiceDiscovery::HttpNamespace"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        api("servicediscovery").create_http_namespace(**properties)
        (found,) = [
            one for one in api("servicediscovery").list_namespaces()["Namespaces"] if one["Name"] == properties["Name"]
        ]
        return found["Id"], {"Arn": found["Arn"]}


class TaskDefinition(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ECS::TaskDefinition"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        facts = _camel(properties)
        facts |= {"cpu": str(facts["cpu"]), "memory": str(facts["memory"])}
        for one in facts["containerDefinitions"]:  # names of options are the driver's own
            given = properties["ContainerDefinitions"][0]["LogConfiguration"]["Options"]
            one["logConfiguration"]["options"] = given
        return api("ecs").register_task_definition(**facts)["taskDefinition"]["taskDefinitionArn"], {}


class Service(_Through, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ECS::Service"

    @staticmethod
    def make(name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        made = api("ecs").create_service(serviceName=name, **_camel(properties))["service"]
        return made["serviceArn"], {"Name": name}

    @classmethod
    def change(cls, physical: str, name: str, properties: Properties) -> tuple[str, dict[str, str]]:
        facts = _camel(properties)
        changed = api("ecs").update_service(
            cluster=facts["cluster"],
            service=physical,
            taskDefinition=facts["taskDefinition"],
            desiredCount=facts["desiredCount"],
        )["service"]
        return changed["serviceArn"], {"Name": changed["serviceName"]}


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(one) for one in value]
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _camel(one) for key, one in value.items()}
    return value


def install() -> None:
    """What moto's parser lacks: ``Fn::Cidr``, an attribute with a dot in its name, and two attributes."""
    clean = parsing.clean_json

    def cleaned(value: Any, resources: Any) -> Any:
        if isinstance(value, dict) and "Fn::Cidr" in value:
            block, count, bits = (clean(one, resources) for one in value["Fn::Cidr"])
            return _blocks(block, int(count), int(bits))
        if isinstance(value, dict) and len(value.get("Fn::GetAtt", ())) > 2:
            name, *attribute = value["Fn::GetAtt"]
            value = {"Fn::GetAtt": [name, ".".join(attribute)]}
        if isinstance(value, dict) and str(value.get("Fn::GetAtt", "")).endswith("FullName']"):
            return resources[value["Fn::GetAtt"][0]].arn.rpartition(":")[2].removeprefix("loadbalancer/")
        return clean(value, resources)

    update = parsing.parse_and_update_resource

    def updated(logical_id: str, given: Any, resources: Any, account_id: str, region_name: str) -> Any:
        before = resources[logical_id]  # a type that moto cannot update stays as it is, where moto forgets it
        return update(logical_id, given, resources, account_id, region_name) or before

    yaml.CLoader.add_multi_constructor("", yaml_tag_constructor)
    load = yaml.load

    @functools.cache
    def parsed(text: str) -> str:
        return json.dumps(load(text, yaml.CLoader))

    yaml.load = lambda text, **_: json.loads(parsed(text))  # moto parses the whole template for each request
    parsing.clean_json = cleaned
    parsing.parse_and_update_resource = updated


def _blocks(block: str, count: int, bits: int) -> list[str]:
    import ipaddress

    subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - bits)
    return [str(next(subnets)) for _ in range(count)]
