"""Why there was no answer, told apart by errno, TLS verify code and phase."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import httpx2


class Trouble(StrEnum):
    """What went wrong below HTTP."""

    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    SILENT = "silent"
    RESET = "reset"
    CUT = "cut"
    EXPIRED = "tls-expired"
    NOT_YET = "tls-not-yet-valid"
    WRONG_NAME = "tls-wrong-name"
    UNTRUSTED = "tls-untrusted"
    HANDSHAKE = "tls-handshake"
    NOT_TLS = "tls-not-spoken"
    UNREADABLE = "unreadable"


#: OpenSSL's X509_V_ERR_* (openssl-verification-options(1)).
_VERIFY = {9: Trouble.NOT_YET, 10: Trouble.EXPIRED, 62: Trouble.WRONG_NAME, 64: Trouble.WRONG_NAME}
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_RESET = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)


def trouble_of(error: BaseException) -> tuple[Trouble, str]:
    """The kind of fault and the words of whoever found it, from an exception or one of its causes."""
    for one in _causes(error):
        if (found := _socket(one) or _http(one)) is not None:
            return found, _words(one)
    return Trouble.UNREADABLE, _words(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The innermost first: libraries wrap what the socket said."""
    chain: list[BaseException] = []
    here: BaseException | None = error
    while here is not None and here not in chain:
        chain.append(here)
        here = here.__cause__ or here.__context__
    for one in reversed(chain):
        if isinstance(one, BaseExceptionGroup):
            yield from one.exceptions
        yield one


def _socket(error: BaseException) -> Trouble | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(error.verify_code, Trouble.UNTRUSTED)
    if isinstance(error, ssl.SSLError):
        return Trouble.NOT_TLS if any(sign in str(error) for sign in _NOT_TLS) else Trouble.HANDSHAKE
    if isinstance(error, socket.gaierror):
        return Trouble.UNRESOLVED
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return _by_number(error.errno)
    return None


def _by_number(number: int | None) -> Trouble | None:
    if number == errno.ECONNREFUSED:
        return Trouble.REFUSED
    if number in _RESET:
        return Trouble.RESET
    return Trouble.UNREACHABLE if number in _UNREACHABLE else None


def _http(error: BaseException) -> Trouble | None:
    if isinstance(error, httpx2.ConnectTimeout):
        return Trouble.CONNECT_TIMEOUT
    if isinstance(error, httpx2.TimeoutException | asyncio.TimeoutError):
        return Trouble.SILENT
    if isinstance(error, httpx2.RemoteProtocolError | asyncio.IncompleteReadError):
        return Trouble.CUT
    return Trouble.RESET if isinstance(error, httpx2.ReadError | httpx2.WriteError) else None


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
