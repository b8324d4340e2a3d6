"""Keys in Secrets Manager, which CloudFormation cannot create."""

from __future__ import annotations

from hokusai import errors
from hokusai.deploy.aws import Aws


class Secrets:
    """Secrets by their ARN. Their values are never printed."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def get(self, arn: str) -> str | None:
        """None where the secret has no value yet."""
        try:
            return str(self._aws("secretsmanager", "get_secret_value", SecretId=arn)["SecretString"])
        except errors.CloudRefused as error:
            if error.kind == "ResourceNotFoundException":
                return None
            raise

    def has(self, arn: str) -> bool:
        return self.get(arn) is not None

    def put(self, arn: str, text: str) -> None:
        self._aws("secretsmanager", "put_secret_value", SecretId=arn, SecretString=text)
