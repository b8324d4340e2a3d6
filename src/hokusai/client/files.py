"""The files of a model on this machine, read in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hokusai import errors

#: Bytes of a file in memory, in both directions.
BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to send. ``name`` is relative to the model, with '/' between the parts; ``size`` is in bytes."""

    path: Path
    name: str
    size: int

    def blocks(self) -> Iterator[bytes]:
        """The first ``size`` bytes. Raises ``errors.PathUnusable`` where the file has become shorter."""
        left = self.size
        try:
            with self.path.open("rb") as file:
                while left and (block := file.read(min(BLOCK, left))):
                    left -= len(block)
                    yield block
        except OSError as error:
            raise errors.PathUnusable(path=self.path, reason=_reason(error)) from None
        if left:
            raise errors.PathUnusable(path=self.path, reason="it became shorter while it was being sent")


def local_files(path: Path) -> tuple[LocalFile, ...]:
    """The file, or every file below the directory, in the order of their names.

    A symbolic link counts as the file that it leads to, if that is in the directory too. Raises
    ``errors.PathUnusable`` for links that lead out of it, and for what is neither a file nor a directory.
    """
    try:
        root = path.resolve(strict=True)
        found = tuple(_below(root, root)) if root.is_dir() else (_file(root, path.name or root.name),)
    except (OSError, RuntimeError) as error:
        raise errors.PathUnusable(path=path, reason=_reason(error)) from None
    if not found:
        raise errors.PathUnusable(path=path, reason="it contains no file")
    return found


def _below(directory: Path, root: Path) -> Iterator[LocalFile]:
    for entry in sorted(directory.iterdir()):
        if entry.is_symlink():
            _check_link(entry, root)
        if entry.is_dir():
            yield from _below(entry, root)
        else:
            yield _file(entry, entry.relative_to(root).as_posix())


def _check_link(link: Path, root: Path) -> None:
    target = link.resolve(strict=True)
    if not target.is_relative_to(root):
        raise errors.PathUnusable(path=link, reason="it is a link out of the directory; copy with cp -rL first")
    if target.is_dir():
        raise errors.PathUnusable(path=link, reason="it is a link to a directory; copy with cp -rL first")


def _file(path: Path, name: str) -> LocalFile:
    if not path.is_file():
        raise errors.PathUnusable(path=path, reason="it is neither a file nor a directory")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise errors.PathUnusable(path=ascii(name), reason="its name is not valid UTF-8") from None
    with path.open("rb"):  # an unreadable file is noticed before the first byte is sent
        return LocalFile(path=path, name=name, size=path.stat().st_size)


def _reason(error: OSError | RuntimeError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return (text or "it is a link that does not lead to a file").lower()
