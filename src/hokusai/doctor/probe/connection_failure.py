"""Why a request got no answer: told apart by errno, TLS verify code and phase."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import httpx2


class ConnectionFailure(StrEnum):
    """What went wrong below HTTP."""

    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    SILENT = "silent"
    RESET = "reset"
    CUT = "cut"
    EXPIRED = "tls-expired"
    NOT_YET_VALID = "tls-not-yet-valid"
    WRONG_NAME = "tls-wrong-name"
    UNTRUSTED = "tls-untrusted"
    HANDSHAKE = "tls-handshake"
    NOT_TLS = "not-tls"
    UNREADABLE = "unreadable"


#: OpenSSL's X509_V_ERR_* (openssl-verification-options(1)).
_VERIFY_CODES = {
    9: ConnectionFailure.NOT_YET_VALID,
    10: ConnectionFailure.EXPIRED,
    62: ConnectionFailure.WRONG_NAME,
    64: ConnectionFailure.WRONG_NAME,
}
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_ERRNOS = {
    errno.ECONNREFUSED: ConnectionFailure.REFUSED,
    errno.ECONNRESET: ConnectionFailure.RESET,
    errno.EPIPE: ConnectionFailure.RESET,
    errno.ECONNABORTED: ConnectionFailure.RESET,
    errno.EHOSTUNREACH: ConnectionFailure.UNREACHABLE,
    errno.ENETUNREACH: ConnectionFailure.UNREACHABLE,
    errno.EADDRNOTAVAIL: ConnectionFailure.UNREACHABLE,
}
#: The first that fits. A time-out while connecting is a time-out too.
_HTTP_ERRORS: tuple[tuple[tuple[type[Exception], ...], ConnectionFailure], ...] = (
    ((httpx2.ConnectTimeout,), ConnectionFailure.CONNECT_TIMEOUT),
    ((httpx2.TimeoutException, asyncio.TimeoutError), ConnectionFailure.SILENT),
    ((httpx2.RemoteProtocolError, asyncio.IncompleteReadError), ConnectionFailure.CUT),
    ((httpx2.ReadError, httpx2.WriteError), ConnectionFailure.RESET),
)


def classify(error: BaseException) -> tuple[ConnectionFailure, str]:
    """The kind of failure and its description, from an exception or one of its causes."""
    for one in _causes(error):
        if (found := _socket_failure(one) or _http_failure(one)) is not None:
            return found, _description(one)
    return ConnectionFailure.UNREADABLE, _description(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The innermost first: libraries wrap the socket's exception."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for one in reversed(chain):
        if isinstance(one, BaseExceptionGroup):
            yield from one.exceptions
        yield one


def _socket_failure(error: BaseException) -> ConnectionFailure | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, ConnectionFailure.UNTRUSTED)
    if isinstance(error, ssl.SSLError):
        is_tls = not any(text in str(error) for text in _NOT_TLS)
        return ConnectionFailure.HANDSHAKE if is_tls else ConnectionFailure.NOT_TLS
    if isinstance(error, socket.gaierror):
        return ConnectionFailure.UNRESOLVED
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return _ERRNOS.get(error.errno or 0)
    return None


def _http_failure(error: BaseException) -> ConnectionFailure | None:
    return next((failure for types, failure in _HTTP_ERRORS if isinstance(error, types)), None)


def _description(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
