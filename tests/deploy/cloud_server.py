"""moto's server with a small ECS scheduler, a list of all requests, and failures on demand.

moto stores the records of ECS and runs nothing. Here a service that is updated gets a new deployment,
which is complete at once and writes a line to its log; a task has ended when it is described. This module
also makes things fail: ``refuse`` (operations, and how often; ``after`` so many that pass), ``rollout``
(the state of the next one), ``exit`` (of tasks), ``line`` (in the log), ``stack`` (why its change fails).
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
import traceback
from typing import Any

import flask
from moto import backends
from moto.cloudformation import models as cloudformation
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ecs import models as ecs
from moto.moto_api import state_manager
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

FAULTS: dict[str, Any] = {}
ASKED: list[str] = []


class Recorder:
    """Notes each operation, and refuses what is to be refused. ``/-/asked`` and ``/-/faults`` are ours."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if environ["PATH_INFO"] == "/-/asked":
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(ASKED).encode()]
        if environ["PATH_INFO"] == "/-/faults":
            FAULTS.clear()
            FAULTS.update(json.loads(body))
            ASKED.clear()
            state_manager.set_transition("ecs::task", {"progression": "immediate"})
            start("204 No Content", [])
            return []
        operation = _operation(environ, body)
        if not environ["PATH_INFO"].startswith("/moto-api"):
            ASKED.append(operation)
        if FAULTS.get("refuse", {}).get(operation, 0) > 0:
            if FAULTS.get("after", 0) == 0:
                FAULTS["refuse"][operation] -= 1
                return _refusal(environ, start)
            FAULTS["after"] -= 1
        return self._app(environ, start)


def _operation(environ: dict[str, Any], body: bytes) -> str:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    for part in body.split(b"&"):
        if part.startswith(b"Action="):
            return part[7:].decode()
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def _refusal(environ: dict[str, Any], start: Any) -> list[bytes]:
    if environ.get("HTTP_X_AMZ_TARGET"):
        start("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
        return [b'{"__type": "AccessDeniedException", "message": "not allowed today"}']
    start("403 Forbidden", [("Content-Type", "text/xml")])
    return [
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not allowed today</Message></Error></ErrorResponse>"
    ]


def _executed(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
    """As moto makes and updates a stack: its change sets leave parameters and outputs as they were."""
    found = next(one for one in self.change_sets.values() if one.change_set_name == change_set_name)
    stack = self.stacks[found.stack_id]
    if reason := FAULTS.pop("stack", None):
        _failed(stack, reason)
    elif found.change_set_type == "CREATE":
        del self.stacks[found.stack_id]
        self.create_stack(stack.name, found.template, found.parameters, tags=found.tags)
    else:
        stack.update(found.template, None, found.parameters, found.tags)


def _failed(stack: Any, reason: str) -> None:
    kind = "CREATE" if stack.status == "REVIEW_IN_PROGRESS" else "UPDATE"
    stack._add_stack_event(f"{kind}_IN_PROGRESS")
    stack._add_stack_event(f"{kind}_FAILED", reason)
    stack.events[-1].logical_resource_id = "Cache"
    stack.status = "ROLLBACK_COMPLETE" if kind == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
    stack._add_stack_event(stack.status)


def _schedule() -> None:
    """A service that is made or updated is rolled out; a task that is started has ended."""
    create, update = ecs.EC2ContainerServiceBackend.create_service, ecs.EC2ContainerServiceBackend.update_service
    init = ecs.Task.__init__

    def created(self: Any, *arguments: Any, **facts: Any) -> Any:
        return _rolled(create(self, *arguments, **facts))

    def updated(self: Any, facts: Any) -> Any:
        return _rolled(update(self, facts))

    def ended(self: Any, *arguments: Any, **facts: Any) -> None:
        init(self, *arguments, **facts)
        for one in self.containers:
            one.exitCode = FAULTS.get("exit", 0)

    ecs.EC2ContainerServiceBackend.create_service = created
    ecs.EC2ContainerServiceBackend.update_service = updated
    ecs.Task.__init__ = ended
    needs = {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}  # of Fargate tasks moto has no idea
    NetworkInterface.private_dns_name = ""  # which some have not
    ecs.EC2ContainerServiceBackend._calculate_task_resource_requirements = lambda *_: dict(needs)
    cloudformation.CloudFormationBackend.execute_change_set = _executed


def _rolled(service: Any) -> Any:
    rollout = FAULTS.pop("rollout", "COMPLETED") if service.desired_count else "COMPLETED"
    running = service.desired_count if rollout == "COMPLETED" else 0
    service.running_count, service.pending_count = running, service.desired_count - running
    service.deployments[0] |= {
        "id": f"ecs-svc/{mock_random.randint(0, 10**18)}",
        "taskDefinition": service.task_definition,
        "desiredCount": service.desired_count,
        "runningCount": running,
        "rolloutState": rollout,
        "rolloutStateReason": f"ECS deployment {rollout.lower()}",
    }
    if running:
        _write(service)
    return service


def _write(service: Any) -> None:
    from tests.deploy.cloud_types import api

    task = api("ecs").describe_task_definition(taskDefinition=service.task_definition)["taskDefinition"]
    group = task["containerDefinitions"][0]["logConfiguration"]["options"]["awslogs-group"]
    stream = f"serve/hokusai/{mock_random.randint(0, 10**18)}"
    line = FAULTS.get("line", "2026-01-01 INFO hokusai: this server is ready")
    api("logs").create_log_stream(logGroupName=group, logStreamName=stream)
    event = {"timestamp": int(time.time() * 1000), "message": line}
    api("logs").put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


def _told(_: Any, exception: Exception) -> None:
    traceback.print_exception(exception)


def main() -> None:
    flask.got_request_exception.connect(_told)
    server = make_server(
        "127.0.0.1", 0, Recorder(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=_Quiet
    )
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
    from tests.deploy import cloud_types

    known = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: known  # it lists a directory at every request
    cloud_types.install()
    _schedule()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
