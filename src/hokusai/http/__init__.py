"""HTTP/1.1 on the wire, below ASGI: what is refused before it is a request, large bodies in, files out.

Start at ``protocol.py``, uvicorn's protocol with our bounds; ``large_body.py`` takes over for a body of known
length, ``sendfile.py`` for a file that the kernel sends.
"""

from hokusai.http.protocol import Protocol

__all__ = ["Protocol"]
