"""Faults between the URL and a trusted connection: DNS, ports, TLS."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import BROKEN_OFF, FRONT, When, rule, symptom
from hokusai.doctor.faults.fault import SERVER_LOG_COMMAND, Fault
from hokusai.doctor.probe import ConnectionFailure as Failure

_CERTIFICATE = "openssl s_client -connect HOST:PORT -servername HOST </dev/null | openssl x509 -noout"

FAULTS = (
    Fault(
        id="name-unresolved",
        layer="dns",
        title="The host name does not resolve",
        cause="DNS has no address for the host in the URL, or this machine asks the wrong DNS server.",
        remedy="Create the DNS record, or correct the URL.",
        command="dig +short HOST",
        evidence=(rule(When("dns"), confidence=100),),
    ),
    Fault(
        id="target-refused",
        layer="load-balancer",
        title="Nothing listens at the URL's port",
        cause="The host refuses the connection: the server or the load balancer is not running, uses another port, or failed to start.",
        remedy="Start it, or correct the port. If it stopped during start-up, its log says why: give the log to the doctor with --log.",
        command=SERVER_LOG_COMMAND,
        evidence=(rule(When("connect", failure=(Failure.REFUSED,)), confidence=90),),
    ),
    Fault(
        id="target-silent",
        layer="load-balancer",
        title="The URL's host does not answer at all",
        cause="Packets are dropped: a security group or firewall blocks the port, the address is outdated, or the host is down.",
        remedy="Open the port to this network, or correct the address.",
        command="nc -vz -w 5 HOST PORT",
        evidence=(
            rule(
                When("connect", failure=(Failure.CONNECT_TIMEOUT, Failure.UNREACHABLE, Failure.SILENT)), confidence=90
            ),
            rule(When("health", failure=(Failure.RESET, Failure.CUT)), confidence=50),
        ),
    ),
    Fault(
        id="tls-expired",
        layer="tls",
        title="The certificate has expired",
        cause="The certificate is no longer valid: its renewal failed, or the renewed certificate was not loaded.",
        remedy="Renew it, and reload the proxy or load balancer that ends TLS.",
        command=f"{_CERTIFICATE} -dates",
        evidence=(rule(When("tls", failure=(Failure.EXPIRED,)), confidence=100),),
    ),
    Fault(
        id="tls-wrong-name",
        layer="tls",
        title="The certificate is for another name",
        cause="The host in the URL is not among the certificate's names: the wrong certificate is installed, or the URL has the wrong host.",
        remedy="Install the certificate for this host, or use a name that is in the certificate.",
        command=f"{_CERTIFICATE} -ext subjectAltName",
        evidence=(rule(When("tls", failure=(Failure.WRONG_NAME,)), confidence=100),),
    ),
    Fault(
        id="tls-untrusted",
        layer="tls",
        title="The certificate's issuer is not trusted here",
        cause="The chain ends at an authority that this machine does not know: a private authority, a self-signed certificate, or a missing intermediate certificate.",
        remedy="Serve the full chain. For a private authority, set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to its certificate.",
        command="openssl s_client -connect HOST:PORT -servername HOST -showcerts </dev/null",
        evidence=(rule(When("tls", failure=(Failure.UNTRUSTED,)), confidence=100),),
    ),
    Fault(
        id="tls-handshake-failed",
        layer="tls",
        title="The TLS handshake fails",
        cause="Both sides use TLS but cannot agree, or the server closes the connection: it allows only old protocol versions, requires a client certificate, or has no certificate loaded.",
        remedy="Allow TLS 1.2 and 1.3, and read the log of the proxy or load balancer that ends TLS.",
        command="openssl s_client -connect HOST:PORT -servername HOST </dev/null",
        evidence=(rule(When("tls", failure=(Failure.HANDSHAKE, *BROKEN_OFF)), confidence=80),),
    ),
    Fault(
        id="https-rules-missing",
        layer="load-balancer",
        title="HTTPS does not reach the service, or plain HTTP does",
        cause="The load balancer has rules for port 80 only, so that port 443 gives its default answer; or port 80 serves plain HTTP where it should redirect.",
        remedy="Copy the rules to the HTTPS listener, and let port 80 redirect to it.",
        command="curl -si http://HOST/health; curl -si https://HOST/health",
        evidence=(
            rule(When("tls", failure=(Failure.NOT_TLS,)), confidence=90),
            rule(When("health", status=(404,), by=FRONT), When("clear-text", symptom=("clear-open",)), confidence=96),
            symptom("clear-open", confidence=60),
        ),
    ),
)
