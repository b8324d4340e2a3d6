"""Settings that cannot work together stop the start, with the setting's name and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from hokusai import errors
from hokusai.setting_conflicts import refuse, unencrypted
from hokusai.settings import Settings
from tests.serving import run_hokusai

KEY = "hk_live_x"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"auth_url": "https://auth.example.org"}, "HOKUSAI_AUTH_SERVICE_KEY"),
        ({"auth_url": "https://a.example.org", "auth_service_key": KEY, "role": "auth"}, "HOKUSAI_AUTH_URL"),
        ({"public_url": "registry.example.org"}, "HOKUSAI_PUBLIC_URL"),
        ({"auth_public_url": "ftp://auth.example.org"}, "HOKUSAI_AUTH_PUBLIC_URL"),
        ({"tracking_url": "http://"}, "HOKUSAI_TRACKING_URL"),
        ({"tracking_url": "http://mlflow:70000"}, "HOKUSAI_TRACKING_URL"),
        (
            {"tracking_url": "http://mlflow:5000", "tracking_database_url": "sqlite:///x.db"},
            "HOKUSAI_TRACKING_DATABASE_URL",
        ),
        ({"workers": 2, "metrics_port": 9000}, "HOKUSAI_METRICS_PORT"),
        ({"workers": 2, "artifacts_url": "memory://"}, "HOKUSAI_ARTIFACTS_URL"),
        (
            {"tracking_url": "https://r.example.org/mlflow", "public_url": "https://r.example.org"},
            "HOKUSAI_TRACKING_URL",
        ),
        ({"tracking_url": "http://localhost:5050"}, "HOKUSAI_TRACKING_URL"),
        ({"tracking_url": "http://mlflow.internal:5000"}, "HOKUSAI_TRACKING_URL"),
        ({"tracking_url": "http://10.0.0.7:5000"}, "HOKUSAI_TRACKING_URL"),
        ({"tracking_url": "http://[fd00::7]:5000"}, "HOKUSAI_TRACKING_URL"),
        ({"auth_url": "http://auth:5050", "auth_service_key": KEY}, "HOKUSAI_AUTH_URL"),
        ({"redis_url": "redis://redis:6379/0"}, "HOKUSAI_REDIS_URL"),
        ({"redis_url": "redis://:secret@10.0.0.9/0"}, "HOKUSAI_REDIS_URL"),
        ({"tracking_url": "http://127.0.0.1:5050", "host": "0.0.0.0"}, "HOKUSAI_TRACKING_URL"),
        (
            {"auth_url": "https://r.example.org:443", "auth_service_key": KEY, "public_url": "https://r.example.org"},
            "HOKUSAI_AUTH_URL",
        ),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, object], named: str) -> None:
    with pytest.raises(errors.SettingInvalid) as refused:
        refuse(Settings(**settings))  # type: ignore[arg-type]
    assert refused.value.facts["setting"] == named
    assert named in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tracking_url": "http://127.0.0.1:5000"},
        {"tracking_url": "http://127.9.9.9:5000"},
        {"tracking_url": "https://mlflow.internal:5050", "public_url": "https://r.example.org"},
        {"tracking_url": "http://mlflow.internal:5050", "plaintext_reason": "a network of these two alone"},
        {"auth_url": "http://auth:5050", "auth_service_key": KEY, "plaintext_reason": "the same host"},
        {"redis_url": "rediss://redis.internal:6379/0"},
        {"redis_url": "unix:///run/redis.sock"},
        {"redis_url": "redis://localhost:6379/0"},
        {"redis_url": "redis://[::1]:6379/0"},
        {"redis_url": "redis://"},
        {"auth_url": "https://auth.example.org", "auth_service_key": KEY, "public_url": "https://r.example.org"},
        {"workers": 4},
        {"artifacts_url": "memory://"},
    ],
)
def test_what_works_is_left_alone(settings: dict[str, object]) -> None:
    refuse(Settings(**settings))  # type: ignore[arg-type]


def test_the_server_ends_with_2_before_it_makes_anything(tmp_path: Path) -> None:
    ended = run_hokusai("serve", "--data", str(tmp_path / "data"), HOKUSAI_TRACKING_URL="http://127.0.0.1:5050")
    assert ended.returncode == 2
    assert "HK6007" in ended.stderr
    assert "sent back to this server" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_what_goes_unencrypted_is_never_shown_with_its_password() -> None:
    settings = Settings(redis_url="redis://user:secret@10.0.0.9:6379/0")  # type: ignore[arg-type]
    assert list(unencrypted(settings)) == [("HOKUSAI_REDIS_URL", "10.0.0.9")]
