"""How many tags one run, experiment, model or version may have. MLflow returns all of them wherever it returns that.

MLflow counts the tags of one request alone. What is checked here is what its session is about to write.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

MAX_TAGS = 1000


def enforce() -> None:
    """From now on, a request that would leave more tags than that is refused by MLflow with INVALID_PARAMETER_VALUE."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag, SqlRegisteredModelTag
    from mlflow.store.tracking.dbmodels.models import SqlExperimentTag, SqlLoggedModelTag, SqlTag

    limited = {
        SqlTag: "run",
        SqlExperimentTag: "experiment",
        SqlLoggedModelTag: "logged model",
        SqlRegisteredModelTag: "registered model",
        SqlModelVersionTag: "model version",
    }

    def check(session: Session, _context: object, _instances: object) -> None:
        new = Counter((type(row), _owner(row)) for row in session.new if type(row) in limited)
        for (table, owner), count in new.items():
            with session.no_autoflush:
                if count + _stored(session, table, owner) > MAX_TAGS:
                    raise _refusal(limited[table])

    event.listen(Session, "before_flush", check)


def _owner(row: Any) -> tuple[tuple[str, object], ...]:
    """What the tag is of, as columns and values; the values are None where that is new as well."""
    names = [sa.inspect(type(row)).get_property_by_column(column).key for column in sa.inspect(type(row)).primary_key]
    return tuple((name, getattr(row, name)) for name in names if not name.endswith("key"))


def _stored(session: Session, table: Any, owner: tuple[tuple[str, object], ...]) -> int:
    if any(value is None for _, value in owner):
        return 0
    # With the column's own type: MLflow sets an id that is a number as text, which PostgreSQL does not compare.
    wanted = [getattr(table, name) == sa.literal(value, getattr(table, name).type) for name, value in owner]
    return session.execute(sa.select(sa.func.count()).select_from(table).where(*wanted)).scalar() or 0


def _refusal(what: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    error: Exception = MlflowException(
        f"This {what} would have more than {MAX_TAGS} tags", error_code=INVALID_PARAMETER_VALUE
    )
    return error
