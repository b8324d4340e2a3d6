"""Every error this product can return: one row per code.

    HokusaiError
    ├── BadRequest    400   the request cannot be understood
    ├── Unauthorized  401   the key is missing, malformed, unknown, expired or revoked
    ├── Forbidden     403   the key is good and lacks the permission, the service or the address
    ├── NotFound      404   no such thing in this workspace, or no such route
    ├── Conflict      409   the name exists, or the files are sealed
    ├── TooLarge      413   a body passes its bound
    ├── Unsatisfiable 416   a range lies outside the file
    ├── TooMany       429   a rate is used up
    ├── Fault         500   we, or a part behind us, went wrong
    ├── NotOffered    501   a way of MLflow's that this product does without
    ├── Unavailable   503   a dependency is down, slow or full, named, with Retry-After
    ├── Full          507   the disk or the bucket has no room
    ├── StartError    –     the server refuses to start (exit code 2)
    ├── BackupError   –     a backup could not be made, or is not restored (exit code 1)
    ├── ClientError   –     found by the SDK or the CLI before or without an answer
    └── DeployError   –     a release stopped, or did not begin

``message`` names the layer and what happened; ``remedy`` is what to do next. Both are templates,
filled with the keyword arguments the error is raised with. ``error_code`` is MLflow's vocabulary
(``databricks.proto``, ``ErrorCode``), so stock clients show ``message``.
"""

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
