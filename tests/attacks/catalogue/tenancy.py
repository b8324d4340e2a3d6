"""Threats 1, 3 and 8: the header that names a workspace, other spellings of open routes, workspaces themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.attacks.case import V1, V2, V3, Case, Pairs, Step, get, owned, post, raw, send
from tests.attacks.catalogue.requests import READS, WRITES

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

_NAME = "X-MLFLOW-WORKSPACE"
_B, _A = "<b.workspace>", "<a.workspace>"

HEADERS: Mapping[str, Pairs] = {
    "plain": ((_NAME, _B),),
    "lower case": ((_NAME.lower(), _B),),
    "mixed case": (("X-Mlflow-Workspace", _B),),
    "underscores": (("X_MLFLOW_WORKSPACE", _B),),
    "one underscore": (("X-MLFLOW_WORKSPACE", _B),),
    "theirs, then ours": ((_NAME, _B), (_NAME, _A)),
    "ours, then theirs": ((_NAME, _A), (_NAME, _B)),
    "a list": ((_NAME, f"{_B}, {_A}"),),
    "a list the other way": ((_NAME, f"{_A},{_B}"),),
    "padded": ((_NAME, f"\t {_B} \t"),),
    "default": ((_NAME, "default"),),
    "empty": ((_NAME, ""),),
    "a star": ((_NAME, "*"),),
    "named in Connection": (("Connection", f"keep-alive, {_NAME}"), (_NAME, _B)),
    "Connection takes the key": (("Connection", "Authorization"), (_NAME, _B)),
    "forwarded names": (("X-Forwarded-Workspace", _B), ("X-Hokusai-Workspace", _B), ("MLFLOW_WORKSPACE", _B)),
    "as a CGI variable": (("HTTP_X_MLFLOW_WORKSPACE", _B), ("Http-X-Mlflow-Workspace", _B)),
    "a cookie": (("Cookie", f"{_NAME}={_B}; workspace={_B}"),),
}

_HEADED: Mapping[str, Step] = {
    name: READS[name] for name in ("run", "experiment-by-name", "registered-model", "versions-search", "artifact")
} | {name: WRITES[name] for name in ("run-tag", "version-create", "run-create", "artifact-overwrite")}


def cases() -> Iterator[Case]:
    yield from _headers()
    yield from _spellings()
    yield from _workspaces()


def _control(name: str) -> dict[str, object]:
    step = _HEADED[name]
    return {"control": owned(step, shows="marker" if name in READS else "change")}


def _headers() -> Iterator[Case]:
    for how, headers in HEADERS.items():
        for name, step in _HEADED.items():
            varied = replace(step, headers=(*headers, *step.headers))
            yield Case(f"workspace header {how}: {name}", 1, (varied,), **_control(name))  # type: ignore[arg-type]
        listing = get(f"{V2}/registered-models/search?max_results=100", *headers)
        listed = owned(get(f"{V2}/registered-models/search?max_results=100"), shows="marker")
        yield Case(f"workspace header {how}: search", 1, (listing,), control=listed)
    for name, lines in _RAW_HEADERS.items():
        step = raw(f"GET {V2}/runs/get?run_id=<b.run> HTTP/1.1\nHost: <host>\n{lines}\n\n", answers=2)
        yield Case(f"workspace header {name}", 1, (step,), control=owned(READS["run"], shows="marker"))
    listed = owned(READS["runs-search"], shows="marker")
    yield Case("workspace header as a trailer", 1, play=_trailer, control=listed)
    for where in ("workspace", "workspace_name", _NAME, "_workspace"):
        fields = {"experiment_ids": ["<b.experiment>"], where: _B}
        step = post(f"{V2}/runs/search?{where}={_B}", fields)
        yield Case(f"workspace as the field {where}", 1, (step,), control=listed)


def _trailer(scene: Scene) -> None:
    body = scene.fill('{"experiment_ids": ["<b.experiment>"]}')
    head = (
        f"POST {V2}/runs/search HTTP/1.1\nHost: <host>\n<auth>\nContent-Type: application/json\n"
        f"Transfer-Encoding: chunked\nTrailer: {_NAME}\n\n"
    )
    scene.do(raw(f"{head}{len(body):x}\n{body}\n0\n{_NAME}: {_B}\n\n", answers=1), "a.write")


_RAW_HEADERS = {
    "before a space": f"{_NAME} : {_B}\n<auth>",
    "before a tab": f"{_NAME}\t: {_B}\n<auth>",
    "folded": f"{_NAME}:\n {_B}\n<auth>",
    "folded after another": f"X-Other: x\n {_NAME}: {_B}\n<auth>",
    "behind a bare CR": f"X-Other: x\r{_NAME}: {_B}\n<auth>",
    "after a NUL": f"X-Other: x\0{_NAME}: {_B}\n<auth>",
    "with a NUL in the value": f"{_NAME}: {_B}\0\n<auth>",
    "after the key": f"<auth>\n{_NAME}: {_B}",
    "in the key's line": f"<auth>\r{_NAME}: {_B}",
    "without a colon": f"{_NAME} {_B}\n<auth>",
    "a leading space": f" {_NAME}: {_B}\n<auth>",
}


def _swap(old: str, new: str) -> Callable[[str], str]:
    return lambda path: path.replace(old, new, 1)


SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "ajax": _swap("/api/", "/ajax-api/"),
    "ajax under the prefix": lambda path: "/api/mlflow" + path.replace("/api/", "/ajax-api/", 1),
    "version 3": _swap("/2.0/", "/3.0/"),
    "version 1": _swap("/2.0/", "/1.0/"),
    "preview": _swap("/2.0/mlflow", "/2.0/preview/mlflow"),
    "malformed": _swap("/2.0/mlflow", "/2.0mlflow"),
    "doubled first slash": lambda path: "/" + path,
    "doubled slash": _swap("/2.0/mlflow", "/2.0//mlflow"),
    "slash as %2f": _swap("/2.0/mlflow", "/2.0%2fmlflow"),
    "letter as %6d": _swap("/2.0/mlflow", "/2.0/%6dlflow"),
    "letter twice": _swap("/2.0/mlflow", "/2.0/%256dlflow"),
    "upper case": _swap("/2.0/mlflow", "/2.0/MLflow"),
    "upper case API": _swap("/api/", "/API/"),
    "a dot": _swap("/2.0/mlflow", "/2.0/./mlflow"),
    "dots": _swap("/2.0/mlflow", "/2.0/x/../mlflow"),
    "dots as %2e": _swap("/2.0/mlflow", "/2.0/x/%2e%2e/mlflow"),
    "from a public route": lambda path: "/health/.." + path,
    "from a static prefix": lambda path: "/static-files/.." + path,
    "static prefix": lambda path: "/mlflow" + path,
    "prefix twice": lambda path: "/api/mlflow/api/mlflow" + path,
    "trailing slash": lambda path: path.replace("?", "/?") if "?" in path else path + "/",
    "trailing dot": lambda path: path.replace("?", ".?") if "?" in path else path + ".",
    "trailing %20": lambda path: path.replace("?", "%20?") if "?" in path else path + "%20",
    "trailing %00": lambda path: path.replace("?", "%00?") if "?" in path else path + "%00",
    "semicolon": lambda path: path.replace("?", ";x=1?") if "?" in path else path + ";x=1",
    "a fragment": lambda path: path + "#x",
    "backslashes": lambda path: path.replace("/", "\\"),
    "absolute": lambda path: "http://<host>" + path,
    "absolute, another host": lambda path: "http://<b.workspace>.internal" + path,
    "two question marks": lambda path: path.replace("?", "??"),
    "full width": _swap("/2.0/mlflow", "/2.0/\uff4dlflow"),
}

#: Spellings that RFC 9112 and RFC 3986 make the same request.
_LEGITIMATE = frozenset({"absolute", "absolute, another host", "a fragment"})
_SPELLED = ("run", "registered-model", "artifact", "run-tag", "run-create", "artifact-overwrite")
_METHODS = ("HEAD", "OPTIONS", "TRACE", "get", "GETS", "PROPFIND", "CONNECT", "PATCH", "PUT", "DELETE", "POST")


def _spellings() -> Iterator[Case]:
    for how, spell in SPELLINGS.items():
        for name in _SPELLED:
            step = _HEADED.get(name) or READS.get(name) or WRITES[name]
            varied = replace(step, target=spell(step.target), headers=((_NAME, _B), *step.headers))
            shows = "marker" if name in READS else "change"
            if varied.target != step.target:
                yield Case(f"spelling {how}: {name}", 3, (varied,), control=owned(step, shows=shows))
            own = replace(varied, target=varied.target.replace("<b.", "<a."), headers=step.headers, body=_own(step))
            if varied.target != step.target and not _is_another_name(how, name):
                yield Case(f"spelling {how}: {name} of one's own", 3, (own,), refused=0, only="hokusai")
    for method in _METHODS:
        for name in ("run", "artifact"):
            step = replace(READS[name], method=method)
            control = owned(READS[name], shows="marker")
            allows = frozenset({501})
            yield Case(f"method {method}: {name}", 3, (step,), control=control, allows=allows)
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"):
        for method in ("DELETE", "PUT"):
            step = replace(READS["artifact"], headers=((header, method),))
            yield Case(f"{header}: {method}", 3, (step,), control=owned(READS["artifact"], shows="marker"))
            own = replace(step, target=step.target.replace("<b.", "<a."))
            still = get(own.target)
            yield Case(f"{header}: {method} on one's own", 3, (own, replace(still, needed=True)), by="a.admin")


def _is_another_name(how: str, name: str) -> bool:
    """Whether the spelling is legitimate: the same request, or a file of that name."""
    return how in _LEGITIMATE or (name.startswith("artifact") and how.startswith(("trailing", "semicolon")))


def _own(step: Step) -> str | bytes:
    return step.body.replace("<b.", "<a.") if isinstance(step.body, str) else step.body


def _workspaces() -> Iterator[Case]:
    one, all_of_them = f"{V3}/workspaces", f"{V1}/workspaces"
    location = {"name": _B, "default_artifact_root": "mlflow-artifacts:/workspaces/<a.workspace>"}
    steps: dict[str, Step] = {
        "list (MLflow)": get(one),
        "show (MLflow)": get(f"{one}/{_B}"),
        "create over (MLflow)": post(one, {"name": _B}),
        "create (MLflow)": post(one, {"name": "fresh-<a.workspace>"}),
        "re-root (MLflow)": send("PATCH", f"{one}/{_B}", location),
        "re-root one's own to the victim's": send(
            "PATCH", f"{one}/{_A}", {"default_artifact_root": "mlflow-artifacts:/workspaces/<b.workspace>"}
        ),
        "re-root one's own to a directory": send("PATCH", f"{one}/{_A}", {"default_artifact_root": "file:///etc"}),
        "create with a root (MLflow)": post(
            one, {"name": "fresh-<a.workspace>", "default_artifact_root": "mlflow-artifacts:/workspaces/<b.workspace>"}
        ),
        "delete (MLflow)": send("DELETE", f"{one}/{_B}", {}),
        "delete in cascade (MLflow)": send("DELETE", f"{one}/{_B}?mode=CASCADE", {"mode": "CASCADE"}),
        "delete setting default (MLflow)": send("DELETE", f"{one}/{_B}?mode=SET_DEFAULT", {}),
        "delete default (MLflow)": send("DELETE", f"{one}/default", {}),
        "show": get(f"{all_of_them}/{_B}"),
        "list": get(all_of_them),
        "create over": post(all_of_them, {"name": _B}),
        "create": post(all_of_them, {"name": "fresh-<a.workspace>"}),
        "suspend": post(f"{all_of_them}/{_B}/suspend", {}),
        "resume": post(f"{all_of_them}/{_B}/resume", {}),
        "delete": send("DELETE", f"{all_of_them}/{_B}", ""),
        "quotas": get(f"{all_of_them}/{_B}/quotas"),
        "set quotas": send("PUT", f"{all_of_them}/{_B}/quotas", {"models": 1}),
        "patch": send("PATCH", f"{all_of_them}/{_B}", {"quotas": {"models": 1}}),
        "suspend by dots": post(f"{all_of_them}/{_A}/../{_B}/suspend", {}),
        "suspend by encoded dots": post(f"{all_of_them}/%2e%2e/workspaces/{_B}/suspend", {}),
    }
    for name, step in steps.items():
        for role in ("write", "admin"):
            refused = None if name.startswith("list") else 0
            yield Case(f"workspaces: {name} as {role}", 8, (step,), f"a.{role}", refused=refused)
