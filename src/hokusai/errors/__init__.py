"""Every error this product can return: one row per code, one module per range of codes.

    HokusaiError
    ├── BadRequest          400  the request cannot be understood
    ├── Denied                   the key, or what it may do
    │   ├── Unauthorized    401  the key is missing, malformed, unknown, expired or revoked
    │   └── Forbidden       403  the key is good, but lacks the permission, the service or the address
    ├── NotFound            404  not in this workspace, or not a route
    ├── Conflict            409  the name or the path is taken, or the state does not allow it
    ├── PreconditionFailed  412  the file is not in the state that the request requires
    ├── TooLarge            413  a body or a quota is exceeded
    ├── Unsatisfiable       416  a range lies outside the file
    ├── TooMany             429  a rate is used up
    ├── Fault               500  this server, or a part behind it, went wrong
    ├── NotOffered          501  a feature of MLflow's that this product does not have
    ├── Unavailable         503  a dependency, which is named, is down, slow or full; with Retry-After
    ├── Full                507  the artifact store is full
    ├── StartError          –    the server refuses to start (exit code 2)
    ├── BackupError         –    a backup could not be made, or is not restored (exit code 1)
    ├── ClientError         –    found by the SDK or the command line, with or without an answer
    └── DeployError         –    a release stopped, or did not begin

A row declares its facts as annotations, and its texts are templates that are filled in with them::

    class FilesQuotaExceeded(
        TooLarge,
        code="HK1309",
        message="artifacts: the workspace's quota is {limit} files, and {left} are left.",
        remedy="Delete what is no longer needed, or ask the operator for a larger quota.",
    ):
        limit: int
        left: int

    raise errors.FilesQuotaExceeded(limit=10, left=0)  # mypy finds a fact that is missing or wrong

``message`` names the layer and says what happened; ``remedy`` is what to do next. A docstring says more:
``hokusai explain HK1309`` and the reference print it. ``error_code`` is MLflow's vocabulary
(``databricks.proto``, ``ErrorCode``), so stock clients show ``message``.
"""

# With a star, because these modules are one list, cut along its codes; a test keeps a code range in one module.
from hokusai.errors.artifacts import *
from hokusai.errors.auth import *
from hokusai.errors.backup import *
from hokusai.errors.base import *
from hokusai.errors.client import *
from hokusai.errors.database import *
from hokusai.errors.deploy import *
from hokusai.errors.internal import *
from hokusai.errors.keys import *
from hokusai.errors.limits import *
from hokusai.errors.permissions import *
from hokusai.errors.request import *
from hokusai.errors.start import *
from hokusai.errors.tracking import *
