"""Threats 2, 4 and 17: artifact paths that lead out of the workspace, other ways to files, too much of everything."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks.case import FILES, V2, Case, Step, get, owned, post, put, send, short
from tests.attacks.catalogue.requests import DELETES, READS, WRITES

_INSIDE = "<b.workspace>/<b.experiment>/<b.run>/artifacts/model/MLmodel"

#: Spellings of the victim's file, directories and root, in a path.
PATHS = (
    "workspaces/<b.workspace>",
    "workspaces/<b.workspace>/",
    "workspaces/<b.workspace>/.",
    "workspaces/<b.workspace>/<b.experiment>",
    "workspaces",
    "workspaces/",
    "workspaces/.",
    ".",
    "./",
    "..",
    "../",
    "%2e",
    "%2e%2e",
    "%252e%252e",
    "%2e%2e/%2e%2e",
    f"./workspaces/{_INSIDE}",
    f"../<b.workspace>/{_INSIDE.partition('/')[2]}",
    f"workspaces/<a.workspace>/../{_INSIDE}",
    f"workspaces/<a.workspace>/%2e%2e/{_INSIDE}",
    f"workspaces/<a.workspace>/%252e%252e/{_INSIDE}",
    f"workspaces/<a.workspace>/.%2e/{_INSIDE}",
    f"workspaces/<a.workspace>/..%2f{_INSIDE}",
    f"workspaces/<a.workspace>/..%5c{_INSIDE}",
    f"workspaces/<a.workspace>/..\\{_INSIDE}",
    f"workspaces/<a.workspace>/%c0%ae%c0%ae/{_INSIDE}",
    f"workspaces/<a.workspace>/%uff0e%uff0e/{_INSIDE}",
    f"workspaces/<a.workspace>/\uff0e\uff0e/{_INSIDE}",
    f"workspaces//{_INSIDE}",
    f"//workspaces/{_INSIDE}",
    f"/workspaces/{_INSIDE}",
    f"%2fworkspaces/{_INSIDE}",
    f"%77orkspaces/{_INSIDE}",
    f"%2577orkspaces/{_INSIDE}",
    f"WORKSPACES/{_INSIDE}",
    f"workspaces/./{_INSIDE}",
    f"workspaces%2f{_INSIDE}",
    f"workspaces%252f{_INSIDE}",
    f"workspaces\\{_INSIDE}",
    f"workspaces%5c{_INSIDE}",
    f"workspaces/{_INSIDE}%00",
    f"workspaces/{_INSIDE}%00.txt",
    f"workspaces/{_INSIDE}/",
    f"workspaces/{_INSIDE}/.",
    f"workspaces/{_INSIDE}%20",
    f"workspaces/{_INSIDE}.",
    f"workspaces/{_INSIDE}::$DATA",
    f"workspaces/{_INSIDE};x=1",
    f"workspaces/{_INSIDE}#x",
    f"workspaces/{_INSIDE}%23",
    f"workspaces/{_INSIDE}%3f",
    f"workspaces/{_INSIDE}?workspace=<b.workspace>",
    "workspaces/<a.workspace>/workspaces/" + _INSIDE,
    "workspaces/default/" + _INSIDE.partition("/")[2],
    "<b.experiment>/<b.run>/artifacts/model/MLmodel",
    f"mlflow-artifacts:/workspaces/{_INSIDE}",
    f"file:///workspaces/{_INSIDE}",
    "<canary>",
    "/<canary>",
    "file:<canary>",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "~root/.ssh/id_rsa",
    "%",
    "%zz",
    "%ff%fe",
    "\u202eledoMLM",
    "a" * 300,
    "a/" * 40 + "a",
    "a" * 255 + "/" + "b" * 255 + "/" + "c" * 255 + "/" + "d" * 255 + "/" + "e" * 255,
)
#: The ones that a listing's query, decoded once more than a path, tells from the others.
_QUERIES = tuple(path for path in PATHS if not path.startswith(("a" * 99, "a/")))


def cases() -> Iterator[Case]:
    yield from _paths()
    yield from _other_ways()
    yield from _volumes()


def _paths() -> Iterator[Case]:
    read, write = owned(READS["artifact"], shows="marker"), owned(WRITES["artifact-overwrite"], shows="change")
    delete = owned(DELETES["artifact-delete"], shows="change", by="c.admin")
    listing = owned(get(f"{FILES}?path=<b.root>"), shows="marker")
    for path in PATHS:
        shown = short(path)
        yield Case(f"GET {shown}", 2, (get(f"{FILES}/{path}"),), control=read)
        twice = 0 if "%252" in path else None  # a listing's reader would decode it again
        yield Case(f"PUT {shown}", 2, (put(path, "planted by a"),), refused=twice, control=write)
        yield Case(f"DELETE {shown}", 2, (Step("DELETE", f"{FILES}/{path}"),), "a.admin", control=delete)
    for path in _QUERIES:
        shown = short(path)
        text = path.replace("#", "%23").replace("&", "%26").replace("?", "%3f")
        yield Case(f"list {shown}", 2, (get(f"{FILES}?path={text}"),), control=listing)
    for query in ("path=<b.root>&path=<a.root>", "path=<a.root>&path=<b.root>", "path[]=<b.root>", "run_id=<b.run>"):
        yield Case(f"list ?{query}", 2, (get(f"{FILES}?{query}"),), control=listing)


_ARTIFACT_ROUTES = (
    get("/get-artifact?run_id=<b.run>&path=model/MLmodel"),
    get("/get-artifact?run_uuid=<b.run>&path=model/MLmodel"),
    get("/ajax-api/2.0/mlflow/get-artifact?run_id=<b.run>&path=model/MLmodel"),
    get(f"{V2}/get-artifact?run_id=<b.run>&path=model/MLmodel"),
    get("/get-artifact?run_id=<a.run>&path=../../<b.run>/artifacts/model/MLmodel"),
    get("/get-artifact?run_id=<a.run>&path=%2e%2e/%2e%2e/<b.run>/artifacts/model/MLmodel"),
    get("/get-artifact?run_id=<a.run>&path=%252e%252e/%252e%252e/<b.run>/artifacts/model/MLmodel"),
    get("/model-versions/get-artifact?name=<b.registered>&version=1&path=MLmodel"),
    get("/ajax-api/2.0/mlflow/model-versions/get-artifact?name=<b.registered>&version=1&path=MLmodel"),
    get("/ajax-api/2.0/mlflow/get-trace-artifact?request_id=tr-1"),
    get("/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-1"),
    get(f"{V2}/artifacts/list?run_id=<b.run>"),
    get(f"{V2}/artifacts/list?run_uuid=<b.run>&path=model"),
    get(f"{V2}/artifacts/list?run_id=<a.run>&path=../../<b.run>/artifacts"),
    get(f"{V2}/logged-models/<b.model>/artifacts/directories"),
    get("/ajax-api/2.0/mlflow/logged-models/<b.model>/artifacts/files?artifact_file_path=MLmodel"),
    get("/api/2.0/mlflow-artifacts/presigned/<b.file>"),
    get("/api/2.0/mlflow-artifacts/presigned/workspaces/<a.workspace>/%2e%2e/<b.workspace>"),
    post(f"{V2}/artifacts/presigned-download-url", {"run_id": "<b.run>", "path": "model/MLmodel"}),
    post(f"{V2}/artifacts/presigned-upload-url", {"run_id": "<b.run>", "path": "model/MLmodel"}),
    post("/ajax-api/2.0/mlflow/upload-artifact?run_uuid=<b.run>&path=planted.txt", "planted"),
    post("/ajax-api/2.0/mlflow/upload-artifact?run_id=<b.run>&path=model/MLmodel", "planted"),
    post("/ajax-api/2.0/mlflow/upload-artifact?run_uuid=<a.run>&path=../../<b.run>/artifacts/model/MLmodel", "planted"),
    post("/api/2.0/mlflow-artifacts/mpu/create/<b.root>", {"path": "<b.root>/x", "num_parts": 1}),
    post("/api/2.0/mlflow-artifacts/mpu/create/<a.root>", {"path": "../../<b.run>/artifacts/x", "num_parts": 1}),
    post("/api/2.0/mlflow-artifacts/mpu/complete/<b.root>", {"path": "x", "upload_id": "1", "parts": []}),
    post("/api/2.0/mlflow-artifacts/mpu/abort/<b.root>", {"path": "x", "upload_id": "1"}),
    get("/ajax-api/2.0/mlflow-artifacts/artifacts/<b.file>"),
    get("/ajax-api/2.0/mlflow-artifacts/artifacts?path=<b.root>"),
    Step("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/<b.file>", "planted"),
    Step("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/<b.file>"),
    Step("POST", f"{FILES}/<b.file>", "planted"),
    Step("PATCH", f"{FILES}/<b.file>", "planted"),
    Step("PUT", FILES, "planted"),
    Step("PUT", f"{FILES}/", "planted"),
    Step("DELETE", FILES),
    Step("DELETE", f"{FILES}/"),
    get("/api/3.0/mlflow-artifacts/artifacts/<b.file>"),
    get("/static-files/../../<b.file>"),
    get("/static-files/%2e%2e/%2e%2e/<canary>"),
    get("/static-files/<canary>"),
)


def _other_ways() -> Iterator[Case]:
    for step in _ARTIFACT_ROUTES:
        for role in ("write", "admin"):
            name = f"{step.method} {step.target} as {role}"
            yield Case(name, 4, (step,), f"a.{role}", allows=frozenset({501}))
    for name in ("GET", "HEAD"):
        step = Step(name, f"{FILES}/<b.file>", headers=(("If-None-Match", "*"), ("Range", "bytes=0-")))
        yield Case(f"{name} with If-None-Match: *", 4, (step,), alike=True)


def _volumes() -> Iterator[Case]:
    many = ",".join(f"{n}-{n}" for n in range(4000))
    own = f"{FILES}/<a.file>"
    steps: dict[str, Step] = {
        "multipart of 100,000 parts": post(
            "/api/2.0/mlflow-artifacts/mpu/create/<a.root>", {"path": "x", "num_parts": 100_000}
        ),
        "ranges in the thousands": get(own, ("Range", f"bytes={many}")),
        "a range beyond 64 bits": get(own, ("Range", "bytes=99999999999999999999-")),
        "a range backwards": get(own, ("Range", "bytes=9-1")),
        "a range of minus": get(own, ("Range", "bytes=-99999999999999999999")),
        "a range in another unit": get(own, ("Range", "pages=1-2")),
        "ranges, many headers": get(own, *[("Range", f"bytes={n}-{n}") for n in range(200)]),
        "max_results of a billion": get(f"{V2}/registered-models/search?max_results=1000000000"),
        "max_results below zero": get(f"{V2}/registered-models/search?max_results=-1"),
        "max_results of runs": post(
            f"{V2}/runs/search", {"experiment_ids": ["<a.experiment>"], "max_results": 2_000_000_000}
        ),
        "metric history of everything": get(
            f"{V2}/metrics/get-history?run_id=<a.run>&metric_key=loss&max_results=2000000000"
        ),
        "a thousand experiments": post(
            f"{V2}/runs/search", {"experiment_ids": [str(n) for n in range(5000)], "max_results": 1}
        ),
        "a bomb that says gzip": Step(
            "POST",
            f"{V2}/runs/search",
            _bomb(),
            (("Content-Type", "application/json"), ("Content-Encoding", "gzip")),
        ),
        "a description of 60 MB": Step(
            "PATCH",
            f"{V2}/registered-models/update",
            b'{"name": "x", "description": "' + b"d" * 60_000_000 + b'"}',
            (("Content-Type", "application/json"),),
        ),
        "100,000 parameters": post(
            f"{V2}/runs/log-batch",
            {"run_id": "<a.run>", "params": [{"key": f"k{n}", "value": "v"} for n in range(100_000)]},
        ),
        "a tag of 3 MB": post(f"{V2}/runs/set-tag", {"run_id": "<a.run>", "key": "k", "value": "v" * 3_000_000}),
        "a filter of 100 KB": get(f"{V2}/registered-models/search?filter=name%20LIKE%20%27{'%25' * 16_000}%27"),
        "a deep filter": get(f"{V2}/registered-models/search?filter={'(' * 3000}name%3D%27x%27{')' * 3000}"),
        "20,000 parameters in a query": get(f"{V2}/registered-models/search?{'a=1&' * 12_000}"),
        "Content-Length of an exabyte": Step(
            "PUT", f"{FILES}/big.bin", b"", (("Content-Length", "1152921504606846976"), ("Connection", "close"))
        ),
        "max_results in words": send("GET", f"{V2}/registered-models/search?max_results=many", ""),
    }
    refused = {"multipart of 100,000 parts", "a description of 60 MB"}
    for name, step in steps.items():
        yield Case(f"volume: {name}", 17, (step,), refused=0 if name in refused else None, allows=frozenset({501, 507}))


def _bomb() -> bytes:
    import gzip

    return gzip.compress(b'{"experiment_ids": ["' + b"0" * 50_000_000 + b'"]}', 9)
