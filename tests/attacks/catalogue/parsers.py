"""Threats 13 and 19: requests that two parsers read differently, and errors that reveal internals."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.attacks.case import FILES, V1, V2, Case, Pairs, Step, get, owned, post, put, send
from tests.attacks.catalogue.requests import READS, WRITES

_RUN_TAG = f"{V2}/runs/set-tag"
_JSON = ("Content-Type", "application/json")


def cases() -> Iterator[Case]:
    yield from _two_readings()
    yield from _names()
    yield from _errors()


#: Bodies in which one reader may see the attacker's run, and another one the victim's.
_BODIES: dict[str, str | bytes] = {
    "duplicate, theirs last": '{"run_id": "<a.run>", "key": "k", "value": "v", "run_id": "<b.run>"}',
    "duplicate, theirs first": '{"run_id": "<b.run>", "key": "k", "value": "v", "run_id": "<a.run>"}',
    "duplicate by escape": '{"run_id": "<a.run>", "key": "k", "value": "v", "run\\u005fid": "<b.run>"}',
    "duplicate, one null": '{"run_id": "<b.run>", "key": "k", "value": "v", "run_id": null}',
    "camel case beside": '{"run_id": "<a.run>", "runId": "<b.run>", "key": "k", "value": "v"}',
    "camel case first": '{"runId": "<b.run>", "run_id": "<a.run>", "key": "k", "value": "v"}',
    "camel case alone": '{"runId": "<b.run>", "key": "k", "value": "v"}',
    "camel case uuid": '{"run_id": "<a.run>", "runUuid": "<b.run>", "key": "k", "value": "v"}',
    "upper case": '{"run_id": "<a.run>", "RUN_ID": "<b.run>", "key": "k", "value": "v"}',
    "doubly encoded": json.dumps('{"run_id": "<b.run>", "key": "k", "value": "v"}'),
    "twice doubly encoded": json.dumps(json.dumps('{"run_id": "<b.run>", "key": "k", "value": "v"}')),
    "an array": '[{"run_id": "<b.run>", "key": "k", "value": "v"}]',
    "with a BOM": "\ufeff" + '{"run_id": "<b.run>", "key": "k", "value": "v"}',
    "two documents": '{"run_id": "<a.run>", "key": "k", "value": "v"}{"run_id": "<b.run>"}',
    "two lines": '{"run_id": "<a.run>", "key": "k", "value": "v"}\n{"run_id": "<b.run>"}',
    "a comment": '{"run_id": "<a.run>", /* */ "key": "k", "value": "v"}',
    "a trailing comma": '{"run_id": "<b.run>", "key": "k", "value": "v",}',
    "a number as run": '{"run_id": 1, "key": "k", "value": "v"}',
    "a list as run": '{"run_id": ["<b.run>"], "key": "k", "value": "v"}',
    "an object as run": '{"run_id": {"run_id": "<b.run>"}, "key": "k", "value": "v"}',
    "NaN": '{"run_id": "<a.run>", "key": "k", "value": NaN}',
    "Infinity": '{"run_id": "<a.run>", "key": "k", "value": Infinity}',
    "a lone surrogate": '{"run_id": "<a.run>", "key": "k", "value": "\\ud800"}',
    "a NUL": '{"run_id": "<b.run>\\u0000", "key": "k", "value": "v"}',
    "a NUL in the key": '{"run_id": "<a.run>", "key": "k\\u0000", "value": "v"}',
    "null as value": '{"run_id": "<a.run>", "key": "k", "value": null}',
    "null as run": '{"run_id": null, "run_uuid": "<b.run>", "key": "k", "value": "v"}',
    "spaces around": '{"run_id": " <b.run> ", "key": "k", "value": "v"}',
    "deep": "[" * 10_000 + "]" * 10_000,
    "deep in a field": '{"run_id": "<a.run>", "key": "k", "value": ' + '{"a":' * 5_000 + "1" + "}" * 5_001,
    "a form": "run_id=<b.run>&key=k&value=v",
    "latin-1": b'{"run_id": "\xe9", "key": "k", "value": "v"}',
    "a huge number": '{"run_id": "<a.run>", "key": "k", "value": ' + "9" * 5000 + "}",
    "a prototype": '{"__proto__": {"run_id": "<b.run>"}, "run_id": "<a.run>", "key": "k", "value": "v"}',
    "nothing": "",
    "only null": "null",
}
_CODED = '{"run_id": "B", "key": "k", "value": "v"}'


def _two_readings() -> Iterator[Case]:
    control = owned(WRITES["run-tag"], shows="change")
    for name, body in _BODIES.items():
        refused = 0 if name.startswith(("duplicate", "doubly", "NaN", "Infinity", "deep", "two ")) else None
        yield Case(f"body {name}", 13, (post(_RUN_TAG, body),), refused=refused, control=control)
    own = post(_RUN_TAG, {"runId": "<a.run>", "key": "k", "value": "v"})
    yield Case("body camel case alone, one's own", 13, (own,), refused=0, only="hokusai")
    kinds: dict[str, Pairs] = {
        "form": (("Content-Type", "application/x-www-form-urlencoded"),),
        "text": (("Content-Type", "text/plain"),),
        "protobuf": (("Content-Type", "application/x-protobuf"),),
        "UTF-16": (("Content-Type", "application/json; charset=utf-16"),),
        "UTF-7": (("Content-Type", "application/json; charset=utf-7"),),
        "none": (),
        "two": (_JSON, ("Content-Type", "text/plain")),
    }
    body = json.dumps({"run_id": "<b.run>", "key": "k", "value": "v"})
    for name, headers in kinds.items():
        yield Case(f"content type {name}", 13, (Step("POST", _RUN_TAG, body, headers),), control=control)
    for coding in ("utf-16", "utf-32", "utf-16-le", "utf-7"):
        step = Step("POST", _RUN_TAG, _CODED.encode(coding), (_JSON,))
        yield Case(f"body in {coding}", 13, (step,), control=control)
    yield from _query_and_body()


def _query_and_body() -> Iterator[Case]:
    read, write = owned(READS["run"], shows="marker"), owned(WRITES["run-tag"], shows="change")
    own, theirs = {"run_id": "<a.run>", "key": "k", "value": "v"}, {"run_id": "<b.run>", "key": "k", "value": "v"}
    steps = {
        "theirs in the query, ours in the body": post(f"{_RUN_TAG}?run_id=<b.run>&run_uuid=<b.run>", own),
        "ours in the query, theirs in the body": post(f"{_RUN_TAG}?run_id=<a.run>", theirs),
        "all in the query": post(f"{_RUN_TAG}?run_id=<b.run>&key=k&value=v", ""),
        "all in the query, an empty object": post(f"{_RUN_TAG}?run_id=<b.run>&key=k&value=v", {}),
    }
    for name, step in steps.items():
        yield Case(f"write, {name}", 13, (step,), control=write)
    queries = {
        "twice, theirs last": "run_id=<a.run>&run_id=<b.run>",
        "twice, theirs first": "run_id=<b.run>&run_id=<a.run>",
        "by semicolon": "run_id=<a.run>;run_id=<b.run>",
        "by two names": "run_id=<a.run>&run_uuid=<b.run>",
        "by two names the other way": "run_uuid=<a.run>&run_id=<b.run>",
        "camel case": "runId=<b.run>",
        "camel case beside": "run_id=<a.run>&runId=<b.run>",
        "an encoded name": "run_id=<a.run>&%72un_id=<b.run>",
        "brackets": "run_id[]=<b.run>",
        "an encoded ampersand": "run_id=<a.run>%26run_id=<b.run>",
        "a plus": "run_id=+<b.run>",
        "padded": "run_id=%20<b.run>%20",
        "a NUL": "run_id=<b.run>%00",
        "a second question mark": "?run_id=<b.run>",
        "upper case": "RUN_ID=<b.run>",
        "bad UTF-8": "run_id=%ff<b.run>",
        "a bare percent": "run_id=<b.run>%",
        "newline": "run_id=<a.run>%0d%0arun_id:<b.run>",
    }
    for name, query in queries.items():
        step = get(f"{V2}/runs/get?{query}")
        refused = 0 if name.startswith(("twice", "by two names")) else None
        yield Case(f"query {name}", 13, (step,), refused=refused, control=read)
    for method in ("GET", "HEAD"):
        step = send(method, f"{V2}/runs/get?run_id=<a.run>", {"run_id": "<b.run>"})
        yield Case(f"a body on {method}", 13, (step,), refused=0, control=read)
        step = send(method, f"{V2}/runs/get", {"run_id": "<b.run>"})
        yield Case(f"only a body on {method}", 13, (step,), control=read)


_ODD_NAMES = {
    "a newline": "a\nb",
    "a log line": 'x\n{"at": "2026-01-01", "key_id": "key_operator", "status": 200}',
    "carriage return": "a\rb",
    "an escape": "\x1b[2Jx",
    "a NUL": "a\0b",
    "bidi": "model\u202egpj.exe",
    "isolates": "\u2066model\u2069",
    "a line separator": "a\u2028b",
    "a tab": "a\tb",
    "DEL": "a\x7fb",
    "C1": "a\x9bb",
    "markup": "<script>alert(1)</script>",
    "a template": "{{7*7}}${7*7}#{7*7}",
    "SQL": "x'); DROP TABLE runs; --",
    "format": "%s%s%n{0}{error}",
    "a slash": "a/b",
    "dots": "../../x",
    "long": "n" * 70_000,
}


def _names() -> Iterator[Case]:
    """Names that would show as something else, or break a line of a log, are no names."""
    hostile = {"a newline", "a log line", "carriage return", "an escape", "a NUL", "bidi", "isolates", "C1", "DEL"}
    hostile |= {"a line separator"}
    for how, name in _ODD_NAMES.items():
        refused = 0 if how in hostile else None
        unique = name + "<kept.nonce>" if how != "long" else name
        steps = {
            "registered model": post(f"{V2}/registered-models/create", {"name": unique}),
            "experiment": post(f"{V2}/experiments/create", {"name": unique}),
            "run": post(f"{V2}/runs/create", {"experiment_id": "<a.experiment>", "run_name": unique, "start_time": 1}),
            "tag key": post(_RUN_TAG, {"run_id": "<a.run>", "key": unique, "value": "v"}),
            "alias": post(f"{V2}/registered-models/alias", {"name": "<a.registered>", "alias": unique, "version": "1"}),
        }
        control = owned(post(f"{V2}/registered-models/create", {"name": "fine <kept.nonce>"}), shows="change")
        for kind, step in steps.items():
            yield Case(f"{kind} named with {how}", 13, (step,), refused=refused, control=control)
    key = {"name": "a\nb", "permissions": ["read"]}
    yield Case("key named with a newline", 13, (post(f"{V1}/keys", key),), "a.admin", refused=0)


_BIG = "9" * 30
#: Requests that make a careless server talk of its inside.
_CLUMSY: dict[str, Step] = {
    "a run id with a quote": get(f"{V2}/runs/get?run_id=%27%20OR%201%3D1--"),
    "a run id with a NUL": get(f"{V2}/runs/get?run_id=a%00b"),
    "an experiment id in words": get(f"{V2}/experiments/get?experiment_id=abc"),
    "an experiment id beyond 64 bits": get(f"{V2}/experiments/get?experiment_id={_BIG}"),
    "an experiment id below zero": get(f"{V2}/experiments/get?experiment_id=-1"),
    "an empty experiment id": get(f"{V2}/experiments/get?experiment_id="),
    "no experiment id": get(f"{V2}/experiments/get"),
    "experiment ids in words": post(f"{V2}/runs/search", {"experiment_ids": ["abc"]}),
    "experiment ids beyond 64 bits": post(f"{V2}/runs/search", {"experiment_ids": [_BIG]}),
    "experiment ids as numbers": post(f"{V2}/runs/search", {"experiment_ids": [1.5]}),
    "experiment ids of null": post(f"{V2}/runs/search", {"experiment_ids": [None]}),
    "logged models of words": post(f"{V2}/logged-models/search", {"experiment_ids": ["abc"]}),
    "a page token of rubbish": get(f"{V2}/registered-models/search?page_token=rubbish"),
    "a page token of bad JSON": get(f"{V2}/registered-models/search?page_token=e30="),
    "a page token of a list": get(f"{V2}/experiments/search?max_results=5&page_token=W10="),
    "a page token of a string offset": get(f"{V2}/model-versions/search?page_token=eyJvZmZzZXQiOiAieCJ9"),
    "a run page token of rubbish": post(
        f"{V2}/runs/search", {"experiment_ids": ["<a.experiment>"], "page_token": "rubbish"}
    ),
    "a history page token of rubbish": get(
        f"{V2}/metrics/get-history?run_id=<a.run>&metric_key=loss&max_results=1&page_token=rubbish"
    ),
    "a logged-model page token of rubbish": post(
        f"{V2}/logged-models/search", {"experiment_ids": ["<a.experiment>"], "page_token": "rubbish"}
    ),
    "a filter of rubbish": get(f"{V2}/registered-models/search?filter=%27%27%27"),
    "a filter of another column": get(f"{V2}/registered-models/search?filter=nonsense%20%3D%20%27x%27"),
    "a filter with a semicolon": get(f"{V2}/experiments/search?max_results=5&filter=name%3D%27x%27%3B%20DROP"),
    "a run filter of rubbish": post(
        f"{V2}/runs/search", {"experiment_ids": ["<a.experiment>"], "filter": "metrics.\"x' = 'y'"}
    ),
    "order by rubbish": get(f"{V2}/registered-models/search?order_by=%3B"),
    "order by a subquery": get(f"{V2}/experiments/search?max_results=5&order_by=(SELECT%201)"),
    "order runs by rubbish": post(
        f"{V2}/runs/search", {"experiment_ids": ["<a.experiment>"], "order_by": ["metrics.`x` FOO"]}
    ),
    "max_results of zero": get(f"{V2}/experiments/search?max_results=0"),
    "an unknown view type": get(f"{V2}/experiments/search?max_results=5&view_type=NONSENSE"),
    "a view type as a number": get(f"{V2}/experiments/search?max_results=5&view_type=99"),
    "a status as a number": post(f"{V2}/runs/update", {"run_id": "<a.run>", "status": 99}),
    "a status in words": post(f"{V2}/runs/update", {"run_id": "<a.run>", "status": "NONSENSE"}),
    "an end beyond 64 bits": post(f"{V2}/runs/update", {"run_id": "<a.run>", "status": "FAILED", "end_time": 10**30}),
    "a start in words": post(f"{V2}/runs/create", {"experiment_id": "<a.experiment>", "start_time": "soon"}),
    "a timestamp below zero": post(
        f"{V2}/runs/log-metric", {"run_id": "<a.run>", "key": "k", "value": 1, "timestamp": -(10**17), "step": 0}
    ),
    "a step beyond 64 bits": post(
        f"{V2}/runs/log-batch",
        {"run_id": "<a.run>", "metrics": [{"key": "k", "value": 1, "timestamp": 1, "step": 10**30}]},
    ),
    "a value in words": post(
        f"{V2}/runs/log-metric", {"run_id": "<a.run>", "key": "k", "value": "much", "timestamp": 1, "step": 0}
    ),
    "params that are none": post(f"{V2}/runs/log-batch", {"run_id": "<a.run>", "params": [1, None, "x"]}),
    "a parameter changed": post(f"{V2}/runs/log-parameter", {"run_id": "<a.run>", "key": "alpha", "value": "other"}),
    "a version in words": get(f"{V2}/model-versions/get?name=<a.registered>&version=abc"),
    "a version beyond 64 bits": get(f"{V2}/model-versions/get?name=<a.registered>&version={_BIG}"),
    "a version of a fraction": get(f"{V2}/model-versions/get?name=<a.registered>&version=1.5"),
    "a version below zero": get(f"{V2}/model-versions/get?name=<a.registered>&version=-1"),
    "an unknown stage": post(
        f"{V2}/model-versions/transition-stage", {"name": "<a.registered>", "version": "1", "stage": "Nonsense"}
    ),
    "a model again": post(f"{V2}/registered-models/create", {"name": "<a.registered>"}),
    "an experiment again": post(f"{V2}/experiments/create", {"name": "<a.experiment_name>"}),
    "model_json of rubbish": post(f"{V2}/runs/log-model", {"run_id": "<a.run>", "model_json": "{"}),
    "model_json of a list": post(f"{V2}/runs/log-model", {"run_id": "<a.run>", "model_json": "[]"}),
    "tags that are none": post(f"{V2}/registered-models/create", {"name": "t <kept.nonce>", "tags": [{"x": 1}]}),
    "tags as an object": post(f"{V2}/registered-models/create", {"name": "u <kept.nonce>", "tags": {"a": "b"}}),
    "a dataset without facts": post(f"{V2}/runs/log-inputs", {"run_id": "<a.run>", "datasets": [{}]}),
    "a logged model of null": post(f"{V2}/logged-models", {"experiment_id": None}),
    "a logged model with an odd status": send(
        "PATCH", f"{V2}/logged-models/<a.model>", {"model_id": "<a.model>", "status": "NONSENSE"}
    ),
    "an artifact under a file": put("<a.file>/below", "x"),
    "an artifact in place of a directory": put("<a.root>/model", "x"),
    "an artifact with a wrong digest": put("<a.root>/wrong", "x", ("Content-Digest", "sha-256=:AAAA:")),
    "an artifact that is not there": get(f"{FILES}/<a.root>/none"),
    "a directory as a file": get(f"{FILES}/<a.root>/model"),
    "a route with a quote": get("/api/2.0/mlflow/%27"),
    "a key id of rubbish": get(f"{V1}/keys/%27%22"),
    "a key page of rubbish": get(f"{V1}/keys?page_token=rubbish"),
    "a key with unknown fields": post(f"{V1}/keys", {"name": "x", "permissions": ["read"], "is_admin": True}),
    "usage of rubbish": get(f"{V1}/usage/x/stats?hours=abc"),
}


def _errors() -> Iterator[Case]:
    for name, step in _CLUMSY.items():
        yield Case(f"clumsy: {name}", 19, (step,), "a.admin")
