"""What a type checker must find wrong; `make check` fails where it does not, as an unused `type: ignore`.

Not run: it is here because nothing else would tell that the facts of errors are no longer checked.
"""

from hokusai import errors


def right() -> None:
    errors.BytesQuotaExceeded(limit=1, left=0, needed=2)
    errors.BytesQuotaExceeded(limit=1, left=0, needed=2, retry_after=3, error_code="RESOURCE_EXHAUSTED")
    errors.KeyRevoked()
    errors.KeyRevoked(key_id="key_1")


def wrong() -> None:
    errors.BytesQuotaExceeded(limit=1, left=0)  # type: ignore[call-arg]
    errors.BytesQuotaExceeded(limit="1", left=0, needed=2)  # type: ignore[arg-type]
    errors.BytesQuotaExceeded(limit=1, left=0, needed=2, asked=2)  # type: ignore[call-arg]
    errors.RangeUnsatisfiable()  # type: ignore[call-arg]
    errors.KeyRevoked(reason="none")  # type: ignore[call-arg]
    errors.DatabaseDown(reason="none")  # type: ignore[call-arg]
    errors.TrackingRefused("none")  # type: ignore[call-arg]
