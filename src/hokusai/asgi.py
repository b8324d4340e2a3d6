"""Names of the ASGI specification that a server and an application both use."""

from __future__ import annotations

#: The extension, and its message, for a stretch of an open file that the server sends itself ("Zero Copy Send").
ZERO_COPY_SEND = "http.response.zerocopysend"

#: Our own extension: its ``call`` resets the connection of a response that has begun and must not be taken for whole.
RESET = "hokusai.reset"

#: In the scope of a request whose target ends in a bare '?', which ASGI itself does not tell from no query at all.
EMPTY_QUERY = "hokusai.empty_query"
