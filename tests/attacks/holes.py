"""``python -m tests.attacks.holes``: removes security checks from a copy of the source; the attacks must notice."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.case import Case
from tests.attacks.catalogue import CASES
from tests.attacks.run import Outcome, Runner
from tests.attacks.target import started

SOURCE = Path(__file__).parent.parent.parent / "src"


@dataclass(frozen=True)
class Edit:
    """A text that occurs once in a file under ``src/hokusai``, and its replacement."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Hole:
    """A check that is removed. ``threats`` and ``only`` (in the name of a case) say which attacks should notice."""

    why: str
    edits: tuple[Edit, ...]
    threats: tuple[int, ...]
    only: str = ""

    @property
    def cases(self) -> Sequence[Case]:
        return [case for case in CASES if case.threat in self.threats and self.only in case.name]


def hole(why: str, file: str, old: str, new: str, *threats: int, only: str = "") -> Hole:
    return Hole(why, (Edit(file, old, new),), threats, only)


HOLES = (
    hole(
        "permissions are not checked",
        "gateway/authorize.py",
        "if route.permission is not None and route.permission not in principal.permissions:",
        "if False:",
        22,
        only="a read key",
    ),
    hole(
        "one route asks for the wrong permission",
        "gateway/table.py",
        '_send("POST", "/runs/set-tag", P.RUNS_WRITE',
        '_send("POST", "/runs/set-tag", P.RUNS_READ',
        22,
        only="a read key: run-tag",
    ),
    hole(
        "HEAD needs no permission",
        "gateway/table.py",
        'Route("HEAD", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_READ)',
        'Route("HEAD", _FILES + "/{path:path}", "artifacts", None)',
        22,
        only="alone",
    ),
    hole(
        "the client's workspace header is let through",
        "gateway/forward.py",
        '(workspace or "").encode()',
        'header(scope, WORKSPACE_HEADER.encode()) or (workspace or "").encode()',
        1,
        only="plain",
    ),
    hole(
        "dots are allowed in artifact paths",
        "artifacts/path.py",
        'if "." in names or ".." in names:',
        "if False:",
        2,
        only="..",
    ),
    hole(
        "paths are decoded twice by their readers",
        "artifacts/path.py",
        'while (again := _CONTROL.sub("", unquote(text))) != text:',
        'while (again := _CONTROL.sub("", unquote(text))) != again:',
        2,
        only="PUT",
    ),
    Hole(
        "another workspace's prefix leads there",
        (
            Edit("artifacts/path.py", "if owner != workspace:", "if not owner:"),
            Edit(
                "artifacts/path.py",
                "found = Place(path.text, workspace, inside)",
                "found = Place(path.text, owner, inside)",
            ),
        ),
        (11, 12),
        "artifact",
    ),
    hole(
        "a body may contain a name twice",
        "json_body.py",
        "if len(found) != len(pairs):",
        "if False:",
        13,
        only="body duplicate",
    ),
    hole(
        "a query may contain a name twice",
        "gateway/parsing.py",
        "        elif name in found:\n",
        "        elif False:\n",
        13,
        only="query",
    ),
    hole(
        "a key in a URL is accepted", "gateway/identify.py", "if key_in_url(scope):", "if False:", 23, only="as a.write"
    ),
    Hole(
        "revoked keys are remembered for a minute",
        (
            Edit("auth/local.py", "store.watch(self._drop)", "store.watch(lambda digest: None)"),
            Edit("auth/local.py", "seconds=cache_seconds,", "seconds=60,"),
        ),
        (21,),
        "revoked",
    ),
    hole(
        "revocation does not reach what is under way",
        "gateway/key_watch.py",
        "        if self._landing or self.refusal is not None or self._task is None:\n",
        "        if True:\n",
        21,
        only="drips",
    ),
    Hole(
        "an upload lands whatever became of its key",
        (
            Edit(
                "gateway/key_watch.py",
                "        if self._landing or self.refusal is not None or self._task is None:\n",
                "        if True:\n",
            ),
            Edit(
                "gateway/key_watch.py",
                "        if isinstance(verdict, errors.Denied):\n            raise",
                "        if False:\n            raise",
            ),
        ),
        (21,),
        "mid-upload",
    ),
    hole("expired keys go on", "auth/key_check.py", "_ended(found.record)\n        or ", "", 21, only="expired"),
    hole("suspension is not looked at", "auth/key_check.py", "or _suspended(found)\n", "", 21, only="suspended"),
    hole(
        "address lists are not looked at", "auth/key_check.py", "or _wrong_address(found.record, address)\n", "", 21, 15
    ),
    hole(
        "X-Forwarded-For is believed",
        "gateway/address.py",
        "if not is_proxy(peer):",
        "if False:",
        15,
        only="address by",
    ),
    hole(
        "the /ajax-api twins are open",
        "gateway/route.py",
        "path = raw_path\n",
        'path = raw_path.replace("/ajax-api/", "/api/", 1)\n',
        3,
        only="ajax",
    ),
    hole(
        "paths are compared without regard to case",
        "gateway/route.py",
        'return re.compile("".join(parts), re.ASCII)',
        'return re.compile("".join(parts), re.ASCII | re.IGNORECASE)',
        3,
        only="upper case",
    ),
    hole(
        "a key may create any key",
        "auth/api/keys.py",
        "if refusal := excess(grant, creator, default_rate=self.default_rate):",
        "if False and (refusal := excess(grant, creator, default_rate=self.default_rate)):",
        22,
        only="a key with",
    ),
    hole(
        "keys of other workspaces are shown",
        "auth/api/keys.py",
        "found = await self.store.get(key_id, workspace=caller.workspace)",
        "found = await self.store.get(key_id)",
        22,
        only="another's key",
    ),
    Hole(
        "anybody may ask whether a key is valid",
        (
            Edit(
                "gateway/table.py",
                '_auth("POST", "/keys/validate", P.KEYS_VALIDATE)',
                '_auth("POST", "/keys/validate", None)',
            ),
            Edit(
                "auth/api/validate.py",
                "_CALLER = [Depends(permitted(Permission.KEYS_VALIDATE)), no_store]",
                "_CALLER = [no_store]",
            ),
        ),
        (20,),
        "oracle",
    ),
    hole(
        "MLflow's own messages about its database are passed on",
        "tracking/error_translation.py",
        '_INTERNALS.sub("", str(found.get("message", "")))',
        'str(found.get("message", ""))',
        19,
    ),
    hole(
        "parameters that a route does not list are passed on",
        "gateway/parsing.py",
        "return found if fields is None else _listed(found, fields)",
        "return found",
        12,
        only="modelId",
    ),
    hole(
        "a source may be anything",
        "tracking/source.py",
        'return errors.SourceForbidden(reason="it has none of the accepted forms")',
        "return Source(text)",
        5,
        only="bucket",
    ),
    hole(
        "a logged model may belong to another tenant's run",
        "gateway/table.py",
        'Field("source_run_id", of=T.RUN)',
        'Field("source_run_id")',
        12,
        only="source_run_id",
    ),
    hole(
        "what a request refers to is not looked at",
        "tracking/reference_resolver.py",
        "if not await self._ownership.includes(",
        "if False and not await self._ownership.includes(",
        12,
        only="link",
    ),
    hole(
        "a source is not checked",
        "tracking/reference_resolver.py",
        "await self._source(request)",
        "pass",
        5,
        only="bucket",
    ),
    hole(
        "another tenant's logged model may be linked",
        "gateway/table.py",
        'Field("model_id", of=T.LOGGED_MODEL)',
        'Field("model_id")',
        12,
        only="link",
    ),
    hole(
        "a version's link may be a script",
        "tracking/rules.py",
        're.fullmatch(r"https?://[!-~]+", text)',
        "text",
        6,
        only="run_link",
    ),
    hole(
        "a run belongs to the user that its client names",
        "tracking/rules.py",
        'request.fields["user_id"] = request.principal.user_id',
        "pass",
        6,
        only="signed",
    ),
    hole(
        "names may contain any character",
        "tracking/rules.py",
        "if is_unprintable(text):",
        "if False:",
        13,
        only="named with",
    ),
    hole(
        "two names of one run may differ",
        "tracking/rules.py",
        "if run_id and request.fields[name] and run_id != request.fields[name]:",
        "if False:",
        13,
        only="two names",
    ),
    Hole(
        "guessing keys is not limited",
        (
            Edit("gateway/failed_attempts.py", "return None if wait is None else", "return None if True else"),
            Edit("gateway/failed_attempts.py", "return refusal if wait is None else", "return refusal if True else"),
        ),
        (20,),
        "three hundred guesses",
    ),
    hole(
        "a workspace reads every audit trail",
        "auth/api/audit.py",
        "workspace=caller.workspace or query.workspace,",
        "workspace=query.workspace,",
        30,
        only="another's trail by key as admin",
    ),
    hole(
        "each refusal has a row of its own",
        "audit/trail.py",
        "now = self._merging[merge.kind].add(merge.place, entry)",
        "now = entry",
        30,
        only="a flood with",
    ),
    hole(
        "user agents are written as they come",
        "gateway/audit.py",
        "escaped(shown(text, limit=_MAX_AGENT), _MAX_AGENT)",
        "text",
        30,
        only="forged lines",
    ),
    hole(
        "quotas are not enforced",
        "quota.py",
        "    if quota.bytes is not None and more.bytes > 0",
        "    if False",
        17,
        only="quota",
    ),
    Hole(
        "a large body gets its memory at once, and keeps it",
        (
            Edit(
                "http/large_body.py", "        flow.pause_reading()\n", "        self._buffer = self._buffers.take()\n"
            ),
            Edit(
                "http/large_body.py",
                "        self._buffer = None\n        self._buffers = Buffers(0, max_kept=0)\n",
                "",
            ),
        ),
        (26,),
        "memory: one byte of 10 GB, by",
    ),
    hole(
        "an unread body may go on for ever",
        "http/protocol.py",
        "        self._linger = self.loop.call_later(self.linger_seconds, self.transport.abort)\n        self.flow",
        "        self.flow",
        26,
        only="unread",
    ),
    hole(
        "an address may open any number of connections",
        "http/connections.py",
        "if place is not None and self._counts[place] >= self.most_per_address:",
        "if False:",
        33,
        only="places",
    ),
    hole(
        "texts may have any length",
        "gateway/parsing.py",
        "if field.max_length is not None and isinstance(value, str) and len(value) > field.max_length:",
        "if False:",
        31,
        only="length first",
    ),
    hole(
        "a query on a file's path is dropped",
        "gateway/forward.py",
        'if route.names_file and (scope["query_string"] or EMPTY_QUERY in scope):',
        "if False:",
        36,
        only="PUT …",
    ),
    hole(
        "the digest of a stored file is not compared",
        "artifacts/integrity.py",
        "if sha256 != record.sha256:",
        "if False:",
        29,
        only="one byte of it: whole",
    ),
    hole(
        "a range is served before its file was compared",
        "artifacts/http/download.py",
        "await self._integrity.prove(file)",
        "pass",
        29,
        only="one byte of it: range",
    ),
    hole(
        "what requests store in MLflow is not counted",
        "tracking/byte_counter.py",
        "if not stores(request):",
        "if True:",
        30,
        only="quota",
    ),
    hole(
        "directories cost nothing",
        "quota.py",
        "if quota.files is not None and more.names > 0",
        "if False",
        30,
        only="directories",
    ),
    hole(
        "a colleague's key may be rotated",
        "auth/escalation.py",
        "if requested.user_id != creator.user_id:",
        "if False:",
        32,
        only="colleague",
    ),
    hole(
        "descendants outlive their maker",
        "auth/store.py",
        "            if with_descendants:\n",
        "            if False:\n",
        32,
        only="descendants",
    ),
    hole(
        "old names of models are given to others",
        "model_names.py",
        "if row.retired_at is not None and not own:",
        "if False:",
        32,
        only="taken over",
    ),
    hole(
        "protected aliases are not",
        "tracking/protected_aliases.py",
        "if alike(alias[:256]) in protected:",
        "if False:",
        32,
        only="protected alias",
    ),
    hole(
        "an alias is protected in one spelling only",
        "tracking/protected_aliases.py",
        "if alike(alias[:256]) in protected:",
        "if alias in protected:",
        32,
        only="capitals",
    ),
    hole(
        "names may have what nobody sees",
        "text.py",
        "if hidden := invisible(text):",
        "if False and (hidden := invisible(text)):",
        35,
        only="named with",
    ),
    hole(
        "names may look alike",
        "model_names.py",
        "return None if own else errors.NameAlike(name=name, other=row.name)",
        "return None",
        35,
        only="look alike",
    ),
    hole(
        "pages of other sites may send changes",
        "gateway/origin.py",
        'if scope["method"] not in _SAFE and (foreign := self._foreign(scope)):',
        'if scope["method"] == "BREW" and (foreign := self._foreign(scope)):',
        35,
        only="from a page",
    ),
    hole(
        "the last operator key may be ended",
        "auth/store.py",
        "    if not operators:\n",
        "    if True:\n",
        37,
        only="operator",
    ),
    hole(
        "a filter may have any number of conditions",
        "gateway/parsing.py",
        "conditions.count(value) > field.max_conditions",
        "False",
        28,
        only="many conditions, plain",
    ),
    hole(
        "quotes hide conditions of a filter",
        "gateway/conditions.py",
        "len(_OPERATOR.findall(outside if plain else text))",
        "len(_OPERATOR.findall(outside))",
        28,
        only="behind an escape",
    ),
    hole(
        "a dataset's profile may have any length",
        "gateway/table.py",
        'Field("profile", max_length=2**16)',
        'Field("profile", max_length=2**22)',
        27,
        only="profile",
    ),
    hole(
        "tags of one run are not counted",
        "tracking/processes/mlflow_app.py",
        "    row_limits.enforce()\n",
        "",
        27,
        only="more tags",
    ),
    hole(
        "another's key is found by its text",
        "auth/api/keys.py",
        "found = await self.store.by_text(key, workspace=caller.workspace)",
        "found = await self.store.by_text(key)",
        37,
        only="found by",
    ),
)


def altered(one: Hole) -> dict[str, str]:
    """The files with the hole in them, by name. Raises ``LookupError`` where the text is not there exactly once."""
    found: dict[str, str] = {}
    for edit in one.edits:
        text = found.get(edit.file) or (SOURCE / "hokusai" / edit.file).read_text()
        if text.count(edit.old) != 1:
            raise LookupError(f"{edit.file} has {edit.old!r} {text.count(edit.old)} times, not once")
        found[edit.file] = text.replace(edit.old, edit.new)
    return found


def planted(one: Hole, place: Path) -> Path:
    """A copy of ``src`` with the hole in it. Raises as ``altered`` does."""
    copy = place / "src"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in altered(one).items():
        (copy / "hokusai" / file).write_text(text)
    return copy


def noticed(one: Hole) -> list[Outcome]:
    """The cases that fail because of the hole."""
    with tempfile.TemporaryDirectory(prefix="hokusai-hole-") as directory:
        place = Path(directory)
        with started("embedded", source=planted(one, place)) as target:
            runner = Runner(target, place, strict=False)
            return [outcome for outcome in runner.play(one.cases) if outcome.verdict == "failed"]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make holes",
        description="Remove a security check from a copy of the source, and see whether the attacks notice.",
    )
    parser.add_argument("only", nargs="?", default="", help="holes with this text in their name")
    given = parser.parse_args()
    missed = 0
    for one in HOLES:
        if given.only not in one.why:
            continue
        try:
            found = noticed(one)
        except (LookupError, AssertionError) as error:
            found, note = [], str(error).strip().splitlines()[-1]
        else:
            note = f"{len(found)} of {len(one.cases)} cases, first: {found[0].case.id}" if found else "not noticed"
        missed += not found
        print(f"{'✓' if found else '✗'} {one.why}: {note}", flush=True)
        if found:
            print(f"    {found[0].reasons[0][:160]}", flush=True)
    print(f"{missed} missed" if missed else "every hole was noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
