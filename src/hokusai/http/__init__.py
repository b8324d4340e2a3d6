"""HTTP/1.1 on the wire, below ASGI.

``protocol.py`` is uvicorn's protocol with limits, and begins with its theory of operation. ``connections.py`` limits
how many connections are open. ``reading.py`` is what the event loop reads into. ``large_body.py`` receives a large body
of known length past the parser. ``sendfile.py`` sends files past this process's memory.
"""

from hokusai.http.connections import Connections
from hokusai.http.protocol import Protocol

__all__ = ["Connections", "Protocol"]
