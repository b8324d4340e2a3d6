"""The source of a release: a checkout at one commit."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from hokusai import errors

TEMPLATE = "deploy/aws/template.yaml"
_COMMENT = re.compile(r"^ *#.*\n", re.MULTILINE)
CONTAINERFILE = "deploy/Containerfile"
_COMMIT_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Source:
    """``version`` is that of the package, ``commit`` the one that is checked out."""

    path: Path
    version: str
    commit: str
    template: str

    @property
    def tag(self) -> str:
        """The tag of the image: version and commit, so that each commit is built once."""
        return f"{self.version}-{self.commit[:_COMMIT_LENGTH]}"


def read(path: Path) -> Source:
    """Raises ``errors.SourceUnusable`` where it is not a checkout, or has changes that are not committed."""
    try:
        template = without_comments((path / TEMPLATE).read_text("utf-8"))
        version = tomllib.loads((path / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    except (OSError, KeyError, ValueError) as error:
        raise errors.SourceUnusable(path=path, reason=f"it is not a checkout of Hokusai ({_short(error)})") from None
    if changed := _git(path, "status", "--porcelain").splitlines():
        reason = f"{len(changed)} files differ from the commit, the first is {changed[0][3:]}"
        raise errors.SourceUnusable(path=path, reason=reason)
    return Source(path, str(version), _git(path, "rev-parse", "HEAD").strip(), template)


def without_comments(template: str) -> str:
    """The template without its lines of comments: CloudFormation takes at most 51,200 bytes in a request."""
    return _COMMENT.sub("", template)


def _git(path: Path, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise errors.SourceUnusable(path=path, reason="git is not installed, so its commit is unknown")
    ran = subprocess.run([git, *arguments], cwd=path, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    if ran.returncode:
        raise errors.SourceUnusable(path=path, reason=_short(ran.stderr))
    return ran.stdout


def _short(said: object) -> str:
    return " ".join(str(said).split())[:200]
