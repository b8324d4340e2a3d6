"""The faults that can be named: what each is, and what to do about it. One documentation page is made from each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from hokusai.doctor.check import Layer


@dataclass(frozen=True, slots=True)
class Fault:
    """A cause, in the words of whoever has to mend it.

    ``command`` is what to type next, ``alike`` the faults that look the same from outside, each with
    the command that tells it from this one. In commands, URL, HOST and PORT stand for the deployment's.
    """

    id: str
    layer: Layer
    title: str
    cause: str
    remedy: str
    command: str
    alike: Mapping[str, str]

    def at(self, url: str) -> Fault:
        """With commands for the deployment at ``url``, ready to be typed."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        places = {"URL": url, "HOST": parts.hostname or url, "PORT": str(port)}

        def filled(text: str) -> str:
            return _PLACE.sub(lambda found: places[found[0]], text)

        alike = {name: filled(command) for name, command in self.alike.items()}
        return replace(self, command=filled(self.command), alike=alike)


#: Not those inside other names, such as HOKUSAI_PUBLIC_URL.
_PLACE = re.compile(r"(?<![A-Za-z_$])(?:URL|HOST|PORT)(?![A-Za-z_])")


def _f(
    id: str,  # noqa: A002 - the word that the catalogue and the reports use
    layer: Layer,
    title: str,
    cause: str,
    remedy: str,
    command: str,
    alike: Mapping[str, str] | None = None,
) -> Fault:
    return Fault(id, layer, title, cause, remedy, command, alike or {})


_UPSTREAM_LOG = "tail -n 50 /var/log/nginx/error.log   # 'could not be resolved', '111: refused' or '110: timed out'"
_SERVER_LOG = "journalctl -u hokusai -n 100 | hokusai doctor URL --log -   # or: aws logs tail GROUP | …"

_CLIENT_SIDE = (
    _f(
        "name-unresolved",
        "dns",
        "The host's name is unknown",
        "DNS has no address for the host in the URL, or this machine asks the wrong DNS server.",
        "Create the record, or correct the URL.",
        "dig +short HOST",
    ),
    _f(
        "target-refused",
        "load-balancer",
        "Nothing listens at the URL's port",
        "The host is there and refuses the connection: the server or the load balancer is not running, has another port, or did not start.",
        "Start it, or correct the port. If it ended at start, its log says why: give it to the doctor with --log.",
        _SERVER_LOG,
    ),
    _f(
        "target-silent",
        "load-balancer",
        "The URL's host does not answer at all",
        "Packets are dropped: a security group or firewall is shut, the address is an old one, or the host is down.",
        "Open the port to this network, or correct the address.",
        "nc -vz -w 5 HOST PORT",
    ),
    _f(
        "tls-expired",
        "tls",
        "The certificate has expired",
        "The certificate's last day has passed: its renewal failed, or the renewed one was not loaded.",
        "Renew it and reload whatever ends TLS.",
        "openssl s_client -connect HOST:PORT -servername HOST </dev/null | openssl x509 -noout -dates",
    ),
    _f(
        "tls-wrong-name",
        "tls",
        "The certificate is for another name",
        "None of the certificate's names is the host in the URL: the wrong certificate is attached, or the URL has the wrong host.",
        "Attach the certificate for this host, or use a name that it carries.",
        "openssl s_client -connect HOST:PORT -servername HOST </dev/null | openssl x509 -noout -ext subjectAltName",
    ),
    _f(
        "tls-untrusted",
        "tls",
        "The certificate's issuer is not trusted here",
        "The chain ends at an authority this machine does not know: a private one, a self-signed certificate, or a missing intermediate.",
        "Serve the full chain; for a private authority set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to its certificate.",
        "openssl s_client -connect HOST:PORT -servername HOST -showcerts </dev/null",
    ),
    _f(
        "tls-handshake-failed",
        "tls",
        "The TLS handshake breaks off",
        "Both sides speak TLS and cannot agree, or the other one hangs up: old protocol versions only, a client certificate is asked for, or no certificate is loaded.",
        "Allow TLS 1.2 and 1.3, and see the log of whatever ends TLS.",
        "openssl s_client -connect HOST:PORT -servername HOST </dev/null",
    ),
    _f(
        "client-unsupported",
        "client",
        "This MLflow client does not fit this server",
        "The installed MLflow is older or newer than the versions that were tried with Hokusai, or newer than the plain MLflow server it talks to.",
        "Install one that fits: pip install 'mlflow>=2.9,<3.18'; for a plain server, one of its own version.",
        "python -c 'import mlflow; print(mlflow.__version__)'; curl -s URL/version",
    ),
    _f(
        "client-environment",
        "client",
        "Only the stock client fails",
        "The same round succeeds with the doctor's own requests, so the deployment serves it; something on this machine stands in the client's way: a proxy variable, a certificate bundle, a package.",
        "See the step that failed, and the client's environment.",
        "env | grep -iE 'proxy|ca_bundle|mlflow'",
    ),
)

_IN_FRONT = (
    _f(
        "https-rules-missing",
        "load-balancer",
        "HTTPS leads nowhere, or plain HTTP is served",
        "The load balancer's rules exist for port 80 only: on 443 its default answer is given, or plain HTTP is served where it should redirect.",
        "Copy the rules to the HTTPS listener, and let port 80 redirect to it.",
        "curl -si http://HOST/health; curl -si https://HOST/health",
    ),
    _f(
        "hosts-swapped",
        "load-balancer",
        "Auth host and registry host lead to the wrong service",
        "The two names are swapped at the load balancer, or both lead to one target.",
        "Let the auth host's rule forward to the auth service and the registry host's to the registry.",
        "curl -s https://AUTH_HOST/ready; curl -s https://REGISTRY_HOST/ready   # the registry lists tracking and artifacts",
    ),
    _f(
        "rule-swallows-registry",
        "load-balancer",
        "The auth service gets the registry's requests",
        "A rule for /api* stands before the one for /api/mlflow, so registry calls end at the auth service.",
        "Put the rule for /api/mlflow* first.",
        "curl -s URL/api/mlflow/version   # MLflow's number when it is right",
    ),
    _f(
        "wrong-upstream-path",
        "proxy",
        "A proxy maps the path to one that does not exist",
        "The proxy cuts off, adds or decodes a part of the path or the query on the way to the upstream, which then answers 404 or 400.",
        "Pass both on as they came. For nginx: nothing behind the upstream's name in proxy_pass, neither a path nor $uri.",
        "grep -n proxy_pass -r /etc/nginx",
        {
            "prefix-covers-half": "curl -si UPSTREAM/ajax-api/2.0/mlflow/experiments/search?max_results=1   # 200: half the routes carry a prefix"
        },
    ),
    _f(
        "redirected",
        "load-balancer",
        "The URL only leads to another one",
        "What is in front answers with a redirect: plain HTTP to HTTPS, one host name to another, or everybody to a login page. On the way clients lose the body (a POST becomes a GET) or the key.",
        "Use the URL it leads to. If that is a login page, exempt /api, /health and /ready from it: keys are judged behind it.",
        "curl -si URL/health | grep -i ^location",
    ),
    _f(
        "method-refused",
        "proxy",
        "Something in front refuses uploads",
        "Reading and POST come through and PUT does not: a list of allowed methods, or a rule of a web application firewall.",
        "Allow GET, POST, PUT, PATCH and DELETE below /api.",
        "curl -si -X PUT URL/api/mlflow/api/2.0/mlflow-artifacts/artifacts/x   # 401 from Hokusai when it is right",
    ),
    _f(
        "proxy-loop",
        "proxy",
        "A proxy calls itself",
        "The upstream is the proxy's own public address: each request goes round until a bound is hit.",
        "Set the upstream to the service's internal address.",
        "grep -n proxy_pass -r /etc/nginx; dig +short HOST",
    ),
    _f(
        "upstream-refused",
        "proxy",
        "The proxy's upstream refuses connections",
        "Nothing listens where the proxy forwards to: the service is down, did not start, or has another port.",
        "Start the service or correct the port; its own log says why it ended.",
        _UPSTREAM_LOG,
        {"upstream-name-unresolved": "getent hosts UPSTREAM   # on the proxy"},
    ),
    _f(
        "upstream-timeout",
        "proxy",
        "The proxy's upstream does not answer",
        "The proxy's packets are dropped (a security group is shut, an old address), or the service takes them and stands still.",
        "Open the service's port to the proxy; see whether the service lives.",
        "nc -vz -w 5 UPSTREAM PORT   # on the proxy",
    ),
    _f(
        "upstream-name-unresolved",
        "proxy",
        "The proxy does not know its upstream's address",
        "The upstream's name does not resolve where the proxy runs, or it resolved to an address that is gone.",
        "Correct the name or the proxy's resolver, and let it look names up again.",
        "getent hosts UPSTREAM   # on the proxy",
        {"upstream-refused": _UPSTREAM_LOG},
    ),
    _f(
        "upstream-refuses-host",
        "proxy",
        "MLflow refuses the Host header",
        "MLflow accepts only the host names it was told; the proxy passes another on.",
        "Add the public name to --allowed-hosts, or let the proxy send the upstream's name.",
        "mlflow server --allowed-hosts HOST …",
    ),
    _f(
        "authorization-stripped",
        "proxy",
        "The key is lost on the way",
        "A proxy removes or replaces the Authorization header, so that the server sees no key.",
        "Pass Authorization on. For nginx: no proxy_set_header Authorization, no auth_basic in front.",
        "grep -rni authorization /etc/nginx",
    ),
    _f(
        "client-address-wrong",
        "proxy",
        "The server takes clients for somebody else",
        "X-Forwarded-For is not believed, not set, or is believed from anybody: all clients share one address, or choose one.",
        "Let the proxy append to X-Forwarded-For, and set HOKUSAI_TRUSTED_PROXIES to exactly the proxies' networks.",
        "grep -rn X-Forwarded-For /etc/nginx; echo $HOKUSAI_TRUSTED_PROXIES",
    ),
    _f(
        "body-limit",
        "load-balancer",
        "The proxy's limit for bodies is below a model's size",
        "Something in front refuses large bodies; the server itself would take them.",
        "Raise the limit. For nginx: client_max_body_size 0.",
        "grep -rn client_max_body_size /etc/nginx",
    ),
    _f(
        "transfer-timeout",
        "proxy",
        "Uploads are cut while they go on",
        "A time-out in front is shorter than a large or paused upload.",
        "Raise the time-outs for bodies and for the upstream: nginx client_body_timeout and proxy_*_timeout, HAProxy timeout client and server, an ALB's idle time-out.",
        "grep -rn _timeout /etc/nginx",
    ),
    _f(
        "proxy-buffers",
        "proxy",
        "The proxy collects whole bodies",
        "Uploads are stored in the proxy before they are passed on: its disk fills, and refusals come late.",
        "Switch request buffering off. For nginx: proxy_request_buffering off; proxy_buffering off.",
        "grep -rn buffering /etc/nginx",
    ),
    _f(
        "download-truncated",
        "proxy",
        "Downloads do not arrive as they were stored",
        "Something in between unpacks or re-packs bodies and keeps the old Content-Length.",
        "Switch decompression and rewriting of bodies off for the API.",
        "curl -s -o file -D - URL; wc -c file",
    ),
    _f(
        "health-lies",
        "load-balancer",
        "The health check says something else than the service",
        "What the load balancer asks answers 200 while the service is not ready, 503 while it is, or asks for a key; targets come and go for no reason.",
        "Let the health check ask /ready without a key, and let nobody in front answer it.",
        "curl -si URL/ready; curl -si URL/health",
    ),
)

_AUTH = (
    _f(
        "auth-service-down",
        "auth",
        "The auth service does not answer",
        "The registry cannot ask whether keys are good. It answers 503, since no key was judged.",
        "Start the auth service, or correct HOKUSAI_AUTH_URL.",
        "curl -si $HOKUSAI_AUTH_URL/ready",
    ),
    _f(
        "service-id-mismatch",
        "auth",
        "Keys name another service than this one",
        "The key was issued for another service_id than HOKUSAI_SERVICE_ID says.",
        "Set HOKUSAI_SERVICE_ID to the service that keys name (platform unless chosen), or issue keys with --service.",
        "hokusai keys show; echo $HOKUSAI_SERVICE_ID",
    ),
    _f(
        "auth-contract-mismatch",
        "auth",
        "Registry and auth service do not understand each other",
        "The auth service answers in another shape, expects the key elsewhere (header or body), or refuses the registry's own key.",
        "Run the same version on both, and give the registry a key with the permission set 'service'.",
        'curl -si -X POST -H "X-API-Key: $SERVICE_KEY" -H "Authorization: Bearer $HOKUSAI_API_KEY" -d \'{}\' $HOKUSAI_AUTH_URL/api/v1/keys/validate',
    ),
    _f(
        "key-expired",
        "auth",
        "The key has expired",
        "Its last day has passed.",
        "Make a new one: hokusai keys create; next time rotate it before.",
        "hokusai keys list",
    ),
    _f(
        "key-revoked",
        "auth",
        "The key was revoked",
        "Somebody ended it, or it was rotated and its overlap is over.",
        "Use the key that replaced it, or ask for a new one.",
        "hokusai keys list",
    ),
    _f(
        "key-lacks-permission",
        "auth",
        "The key may not register models",
        "It lacks a permission a registration takes: runs:write, models:write, artifacts:write; or it belongs to no workspace.",
        "Make a key of the workspace: hokusai keys create --workspace W --name N --permissions write.",
        "hokusai keys show",
    ),
    _f(
        "key-wrong-environment",
        "auth",
        "The key is of the other environment",
        "A test key at a live server, or the reverse.",
        "Use a key made with --environment of this server (HOKUSAI_ENVIRONMENTS).",
        "hokusai keys show",
    ),
    _f(
        "key-unknown",
        "auth",
        "The key is not known here",
        "It is well formed and belongs to another deployment, or the server has another database than the one it was made in.",
        "Use a key of this deployment.",
        "hokusai keys list   # with this deployment's operator key",
        {"replicas-disagree": "hokusai doctor URL --only steady"},
    ),
    _f(
        "key-malformed",
        "auth",
        "The key is no key",
        "Characters are missing or wrong: its checksum does not fit.",
        "Copy the whole key again: it starts with hk_live_ or hk_test_ and has 46 characters.",
        'printf %s "$HOKUSAI_API_KEY" | wc -c',
    ),
    _f(
        "key-address-refused",
        "auth",
        "The key may not be used from here",
        "The key carries networks, and the address that the server sees is in none of them.",
        "Use it from an allowed network.",
        "hokusai keys list",
        {"client-address-wrong": "HOKUSAI_OPERATOR_KEY=… hokusai doctor URL --only client-address"},
    ),
    _f(
        "workspace-suspended",
        "auth",
        "The key's workspace is suspended",
        "The operator has suspended the team.",
        "hokusai workspaces resume NAME",
        "hokusai workspaces show NAME",
    ),
    _f(
        "rate-exceeded",
        "gateway",
        "Too many requests",
        "A rate is used up: of the key, of its workspace, or of the address.",
        "Wait as Retry-After says, or raise the rate.",
        "hokusai keys show",
        {"client-address-wrong": "HOKUSAI_OPERATOR_KEY=… hokusai doctor URL --only client-address"},
    ),
    _f(
        "clock-skew",
        "auth",
        "The clocks are minutes apart",
        "The server's clock or this machine's is wrong: keys seem expired or not yet valid, and signed requests to a bucket are refused.",
        "Let NTP set both.",
        "date -u; curl -sI URL/health | grep -i ^date",
    ),
)

_BEHIND = (
    _f(
        "prefix-covers-half",
        "tracking",
        "Only half of MLflow's routes carry the prefix",
        "MLflow before 3 puts --static-prefix before its pages and /ajax-api, and not before /api: clients get 404 where the browser works.",
        "Start MLflow without --static-prefix and let the proxy cut the prefix off.",
        "curl -si URL/api/2.0/mlflow/experiments/search?max_results=1; curl -si URL/ajax-api/2.0/mlflow/experiments/search?max_results=1",
    ),
    _f(
        "artifact-serving-off",
        "artifacts",
        "MLflow does not serve artifacts",
        "It was started with --no-serve-artifacts, so uploads through it are refused.",
        "Start it with --serve-artifacts and --artifacts-destination.",
        "ps -o args= -C mlflow",
    ),
    _f(
        "artifact-destination-ephemeral",
        "artifacts",
        "Files are kept where they do not last",
        "No destination was chosen: files land in ./mlartifacts of the process, or in memory, and are gone after the next deployment.",
        "Set --artifacts-destination (MLflow) or HOKUSAI_ARTIFACTS_URL to a bucket or a mounted volume.",
        "ps -o args= -C mlflow; echo $HOKUSAI_ARTIFACTS_URL",
    ),
    _f(
        "artifact-store-unreachable",
        "artifacts",
        "The artifact store cannot be reached",
        "The bucket does not exist, is in another region, or its address cannot be reached from the server.",
        "Create the bucket, or correct HOKUSAI_ARTIFACTS_URL, AWS_REGION and AWS_ENDPOINT_URL.",
        "aws s3 ls s3://BUCKET   # with the server's role",
    ),
    _f(
        "artifact-store-read-only",
        "artifacts",
        "The server's rights to the artifact store are too few",
        "The credentials may not write, read, list or delete there.",
        "Allow s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket on the bucket and prefix.",
        "aws s3 cp /etc/hostname s3://BUCKET/PREFIX/probe   # with the server's role",
    ),
    _f(
        "artifact-disk-full",
        "artifacts",
        "The artifact store has no room",
        "The disk or the quota behind the store is full. Nothing is half-stored.",
        "Free or add space.",
        "df -h",
    ),
    _f(
        "upload-limit",
        "artifacts",
        "The server's own limit is below a model's size",
        "HOKUSAI_MAX_UPLOAD_BYTES or the workspace's quota is smaller than the file.",
        "Raise it.",
        "echo $HOKUSAI_MAX_UPLOAD_BYTES",
    ),
    _f(
        "experiment-direct-location",
        "tracking",
        "Experiments keep their files past the server",
        "Experiments made while artifact serving was off keep an s3:// or file address for ever: clients need credentials of their own.",
        "Use a new experiment; the old one's location does not change.",
        "mlflow experiments search",
    ),
    _f(
        "multipart-unreachable",
        "artifacts",
        "Addresses for parts cannot be reached",
        "The server hands out addresses for uploads in parts (files over 500 MB) at a host that clients cannot reach.",
        "Make the bucket's endpoint reachable, or switch it off: MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=false.",
        "hokusai doctor URL --only multipart",
    ),
    _f(
        "upload-lost",
        "artifacts",
        "An upload is answered 200 and is not there",
        "What was stored cannot be read back: another replica has it, or something in front answered the upload itself.",
        "See which replica stores where.",
        "hokusai doctor URL --only same-files",
    ),
    _f(
        "redis-unavailable",
        "gateway",
        "Redis is not there",
        "HOKUSAI_REDIS_URL names a server that is away, speaks TLS where none is used (redis:, rediss:), or refuses the password. Each process counts for itself meanwhile.",
        "Start it, or correct HOKUSAI_REDIS_URL.",
        "redis-cli -u $HOKUSAI_REDIS_URL ping",
    ),
    _f(
        "database-down",
        "database",
        "The database does not answer",
        "The server's own database is away or stands still.",
        "Start it; see HOKUSAI_DATABASE_URL.",
        "psql \"$HOKUSAI_DATABASE_URL\" -c 'select 1'",
    ),
    _f(
        "database-credentials",
        "database",
        "The database refuses the server's login",
        "Wrong user or password, a password with characters that are not percent-encoded, or a role that may not log in.",
        "Correct HOKUSAI_DATABASE_URL; percent-encode the password.",
        "psql \"$HOKUSAI_DATABASE_URL\" -c 'select 1'",
    ),
    _f(
        "migrations-missing",
        "database",
        "The database lacks the server's tables",
        "The server runs on a database whose tables were not made, or were dropped or replaced under it.",
        "Restart the server: it brings the tables up to date at start. Restore the backup if they held keys.",
        "psql \"$HOKUSAI_DATABASE_URL\" -c 'select * from hokusai_alembic_version'",
    ),
    _f(
        "schema-newer",
        "database",
        "The database is of a newer version",
        "A newer version has changed the tables, and an older one was started on them.",
        "Run the newer version again, or restore the backup made before the upgrade.",
        "psql \"$HOKUSAI_DATABASE_URL\" -c 'select * from hokusai_alembic_version'",
    ),
    _f(
        "database-read-only",
        "database",
        "The database takes no writes",
        "It is read-only (a standby, a full disk, default_transaction_read_only) while reading works.",
        "Point to the primary, or make room.",
        "psql \"$HOKUSAI_DATABASE_URL\" -c 'show transaction_read_only'; df -h",
        {"tracking-fault": _SERVER_LOG},
    ),
    _f(
        "tracking-down",
        "tracking",
        "MLflow does not answer the gateway",
        "The separate MLflow is away, or stands still.",
        "Start it; see HOKUSAI_TRACKING_URL.",
        "curl -si $HOKUSAI_TRACKING_URL/health",
    ),
    _f(
        "tracking-fault",
        "tracking",
        "MLflow fails inside",
        "MLflow answered 500: its database or its own code went wrong.",
        "The server's log has MLflow's words under the request id.",
        _SERVER_LOG,
    ),
    _f(
        "workspaces-off",
        "tracking",
        "MLflow's workspaces are switched off",
        "The separate MLflow was started without --enable-workspaces: there would be no wall between teams.",
        "Start it with: mlflow server --enable-workspaces (3.17).",
        "curl -s $HOKUSAI_TRACKING_URL/api/3.0/mlflow/server-info",
    ),
    _f(
        "tracking-exposed",
        "tracking",
        "MLflow can be reached past the gateway",
        "MLflow answers without a key: an open door beside the locked one.",
        "Close its port to all but the gateway, and remove routes that lead past it.",
        "hokusai doctor URL --only closed --tracking-url MLFLOW_URL",
    ),
    _f(
        "isolation-broken",
        "gateway",
        "One workspace reaches another",
        "What belongs to one team is seen or changed with another's key.",
        "Stop handing out keys, and report it with the version.",
        "hokusai doctor URL --only isolation",
    ),
    _f(
        "admission-stalled",
        "admission",
        "Versions stay PENDING",
        "Nothing takes new versions through admission: its worker is not running, or waits for something.",
        "Start it, and see its log.",
        _SERVER_LOG,
    ),
)

_RELEASE = (
    _f(
        "old-version-running",
        "release",
        "Another version runs than was rolled out",
        "The deployment was reported done and the old tasks still answer, or the image tag did not move.",
        "Roll out by digest, wait until the old tasks are gone, and ask again.",
        "curl -s URL/version; aws ecs describe-services --cluster C --services S --query 'services[0].deployments'",
    ),
    _f(
        "wrong-architecture",
        "release",
        "The image is built for another processor",
        "The program cannot be run on this machine: exec format error.",
        "Build for the platform it runs on: docker buildx build --platform linux/amd64.",
        "docker image inspect IMAGE --format '{{.Architecture}}'; uname -m",
    ),
    _f(
        "missing-setting",
        "release",
        "A setting or secret is missing or wrong",
        "The server refuses to start, and names the setting; or a part lacks its credentials.",
        "Set it in the task definition or the unit.",
        _SERVER_LOG,
    ),
    _f(
        "slow-start",
        "release",
        "It is stopped before it has started",
        "Start-up takes longer than the grace period, so it is ended and started again, for ever.",
        "Lengthen the grace period of the health check, or give it more processor.",
        _SERVER_LOG,
    ),
    _f(
        "one-replica-broken",
        "load-balancer",
        "One of the replicas is broken",
        "Some of the same requests fail and others do not: one target behind the balancer is ill and still gets traffic.",
        "Find it, take it out, and let the health check ask /ready.",
        "for i in $(seq 12); do curl -s -o /dev/null -w '%{http_code} ' URL/ready; done",
    ),
    _f(
        "replicas-disagree",
        "load-balancer",
        "The replicas do not share what they know",
        "Each has its own database, disk, pepper or counters: a key, a file or a rate holds on one and not on the next.",
        "Give all of them the same HOKUSAI_DATABASE_URL, HOKUSAI_ARTIFACTS_URL, HOKUSAI_KEY_PEPPER and HOKUSAI_REDIS_URL.",
        "hokusai doctor URL --only steady,same-files,rate",
    ),
    _f(
        "draining",
        "release",
        "The server is on its way out",
        "It was told to end and takes no new requests.",
        "Wait for the replacement; if none comes, start it.",
        "curl -s URL/ready",
    ),
    _f(
        "unexplained",
        "gateway",
        "A check failed, and no rule knows why",
        "What was seen fits no known fault.",
        "See the evidence of the failed checks, and send the report with the version.",
        "hokusai doctor URL --json",
    ),
)


def _by_id(faults: Iterable[Fault]) -> dict[str, Fault]:
    return {fault.id: fault for fault in faults}


FAULTS: Mapping[str, Fault] = _by_id((*_CLIENT_SIDE, *_IN_FRONT, *_AUTH, *_BEHIND, *_RELEASE))
