"""The ECR repository: which images it has, and the login for an engine."""

from __future__ import annotations

import base64

from hokusai import errors
from hokusai.deploy.aws import Aws
from hokusai.deploy.engine import Engine


class Images:
    """``uri`` is the repository's address for an engine, ``name`` its name in ECR."""

    def __init__(self, aws: Aws, *, uri: str, name: str) -> None:
        self._aws = aws
        self.uri = uri
        self._name = name

    def digest(self, tag: str) -> str | None:
        """``sha256:…`` of the image with that tag, according to ECR; None where there is none."""
        try:
            found = self._aws("ecr", "describe_images", repositoryName=self._name, imageIds=[{"imageTag": tag}])
        except errors.CloudRefused as error:
            if error.kind == "ImageNotFoundException":
                return None
            raise
        return str(found["imageDetails"][0]["imageDigest"])

    def tags(self, digest: str) -> list[str]:
        """The tags of the image with that digest."""
        try:
            found = self._aws("ecr", "describe_images", repositoryName=self._name, imageIds=[{"imageDigest": digest}])
        except errors.CloudRefused:
            return []
        return list(found["imageDetails"][0].get("imageTags", ()))

    def log_in(self, engine: Engine) -> None:
        """Valid for twelve hours."""
        given = self._aws("ecr", "get_authorization_token")["authorizationData"][0]
        user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
        engine.log_in(self.uri.partition("/")[0], user=user, password=password)
