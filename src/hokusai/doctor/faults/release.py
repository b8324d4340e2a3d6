"""Faults of a roll-out: what was started, with which settings, on how many replicas."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import When, code, rule, symptom
from hokusai.doctor.faults.fault import SERVER_LOG_COMMAND, Fault

FAULTS = (
    Fault(
        id="old-version-running",
        layer="release",
        title="Another version is running than was rolled out",
        cause="The deployment was reported as complete while the old tasks still answer, or the image tag was not updated.",
        remedy="Roll out by digest, wait until the old tasks have ended, and check again.",
        command="curl -s URL/version; aws ecs describe-services --cluster C --services S --query 'services[0].deployments'",
        evidence=(
            symptom("version-differs", check="release", confidence=95),
            symptom("versions-differ", confidence=90),
        ),
    ),
    Fault(
        id="wrong-architecture",
        layer="release",
        title="The image is built for another processor",
        cause="The program cannot run on this machine's processor: exec format error.",
        remedy="Build the image for the platform that it runs on: docker buildx build --platform linux/amd64.",
        command="docker image inspect IMAGE --format '{{.Architecture}}'; uname -m",
        evidence=(symptom("log-exec-format", confidence=98),),
    ),
    Fault(
        id="missing-setting",
        layer="release",
        title="A setting or secret is missing or wrong",
        cause="The server refuses to start and names the setting, or one of its parts has no credentials.",
        remedy="Set it in the task definition or the systemd unit.",
        command=SERVER_LOG_COMMAND,
        evidence=(
            *code("HK4013", confidence=85),
            rule(When("log", symptom=("log-HK6007", "log-HK6003")), confidence=95),
            rule(When("log", symptom=("log-HK6012",)), confidence=80),
        ),
        named_by_ready=True,
    ),
    Fault(
        id="slow-start",
        layer="release",
        title="The server is stopped before it is ready",
        cause="Starting takes longer than the health check's grace period, so the server is stopped and started again and again.",
        remedy="Make the health check's grace period longer, or give the server more CPU.",
        command=SERVER_LOG_COMMAND,
        evidence=(symptom("log-restarts", confidence=95),),
    ),
    Fault(
        id="one-replica-broken",
        layer="load-balancer",
        title="One of the replicas is broken",
        cause="Some of several identical requests fail: one target behind the load balancer is broken and still gets traffic.",
        remedy="Find that replica, remove it from the load balancer, and let the health check ask /ready.",
        command="for i in $(seq 12); do curl -s -o /dev/null -w '%{http_code} ' URL/ready; done",
        evidence=(symptom("replica-broken", confidence=99),),
    ),
    Fault(
        id="replicas-disagree",
        layer="load-balancer",
        title="The replicas do not share their state",
        cause="Each replica has its own database, disk, pepper or counters: a key, a file or a rate is known to one replica and not to the next.",
        remedy="Give all of them the same HOKUSAI_DATABASE_URL, HOKUSAI_ARTIFACTS_URL, HOKUSAI_KEY_PEPPER and HOKUSAI_REDIS_URL.",
        command="hokusai doctor URL --only steady,same-files,rate",
        evidence=(
            symptom("replicas-disagree", confidence=99),
            symptom("limits-apart", confidence=88),
        ),
    ),
    Fault(
        id="draining",
        layer="release",
        title="The server is shutting down",
        cause="The server was told to stop, and accepts no new requests.",
        remedy="Wait for its replacement. If there is none, start the server.",
        command="curl -s URL/ready",
        evidence=(symptom("draining", confidence=90),),
    ),
)
