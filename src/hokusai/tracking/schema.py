"""MLflow's own tables: which they are, and how to create them at a revision. For backups; everything blocks."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from hokusai import errors
from hokusai.database import first_line


def is_mlflows(table: str) -> bool:
    from mlflow.store.db.utils import Base

    return table in Base.metadata.tables or table == "alembic_version"


def create(url: str, revision: str) -> None:
    """Create all tables, empty, as MLflow's migrations do up to ``revision`` (``_initialize_tables``, MLflow 3.17).

    Raises ``errors.DatabaseUnreachable``, also for a revision that this MLflow does not know.
    """
    from alembic import command
    from alembic.util import CommandError
    from mlflow.store.db import utils

    engine = sa.create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    try:
        utils.InitialBase.metadata.create_all(engine)
        with engine.begin() as connection:
            config = utils._get_alembic_config(url)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except (CommandError, sa.exc.SQLAlchemyError) as error:
        raise errors.DatabaseUnreachable(setting="HOKUSAI_TRACKING_DATABASE_URL", reason=first_line(error)) from error
    finally:
        engine.dispose()
