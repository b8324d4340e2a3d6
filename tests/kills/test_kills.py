"""What ``make kills`` does hundreds of times, a few times; and that its judge finds what is wrong."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.kills import campaign
from tests.kills.campaign import Campaign
from tests.kills.points import BEGUN_AND_ENDED, STEPS, moments
from tests.kills.target import LAYOUTS, Target, target

pytestmark = pytest.mark.process


def nothing_comes_of(steps: Sequence[str], directory: Path) -> None:
    """Of a kill before and after each step, once. The clients may not come to a rare one in time."""
    points = moments(steps)
    with target(LAYOUTS["sqlite"], directory) as found, Campaign(found, secrets.token_hex(4), points) as working:
        working.restart()
        for _ in points:
            working.kill("aimed")
        assert working.check() == []
        assert len(working.result.points) >= 3 * len(points) // 4, working.result.missed


@pytest.mark.timeout(300)
def test_nothing_comes_of_a_kill_while_a_change_is_recorded(tmp_path: Path) -> None:
    nothing_comes_of(BEGUN_AND_ENDED, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_nothing_comes_of_a_kill_while_names_keys_and_workspaces_change(tmp_path: Path) -> None:
    nothing_comes_of(STEPS, tmp_path)


def a_record_less(found: Target) -> None:
    execute(found, "DELETE FROM hokusai_artifacts WHERE path IN (SELECT MIN(path) FROM hokusai_artifacts)")


def a_changed_file(found: Target) -> None:
    path = next(path for path in files(found) if path.stat().st_size)
    path.write_bytes(bytes(path.stat().st_size + 1))


def a_file_too_many(found: Target) -> None:
    (files(found)[0].parent / "more").touch()


def an_empty_directory(found: Target) -> None:
    (files(found)[0].parent / "empty").mkdir()


def use_that_is_miscounted(found: Target) -> None:
    execute(found, "UPDATE hokusai_use SET bytes = bytes + 1")


def a_key_that_is_valid_again(found: Target) -> None:
    execute(found, "UPDATE hokusai_keys SET revoked_at = NULL")


def rows_that_are_missing(found: Target) -> None:
    execute(found, "DELETE FROM hokusai_audit WHERE id % 2 = 0")


def rows_about_others(found: Target) -> None:
    execute(found, "UPDATE hokusai_audit SET subject = 'another'")


def a_tag_less(found: Target) -> None:
    with found.tables.mlflow.begin() as connection:
        connection.execute(sa.text("DELETE FROM tags WHERE key NOT LIKE 'mlflow.%'"))


FAULTS: dict[Callable[[Target], None], str] = {
    a_record_less: "lost",
    a_changed_file: "wrong",
    a_file_too_many: "wrong",
    an_empty_directory: "wrong",
    use_that_is_miscounted: "wrong",
    a_key_that_is_valid_again: "lost",
    rows_that_are_missing: "unrecorded",
    rows_about_others: "unrecorded",
    a_tag_less: "lost",
}


def execute(found: Target, statement: str) -> None:
    with found.tables.ours.begin() as connection:
        assert connection.execute(sa.text(statement)).rowcount, statement


def files(found: Target) -> list[Path]:
    return sorted(path for path in (found.data / "artifacts" / "workspaces").rglob("*") if path.is_file())


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_judge_finds_what_is_wrong(tmp_path: Path, fault: Callable[[Target], None]) -> None:
    with target(LAYOUTS["sqlite"], tmp_path) as broken, Campaign(broken, "judge") as working:
        working.work(1.5)
        fault(broken)
        assert FAULTS[fault] in {one.sort for one in working.judge()}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_nothing_comes_of_kills(tmp_path: Path, layout: campaign.Layout) -> None:
    result = campaign.run(layout, tmp_path, kills=10, seed=secrets.token_hex(4))
    assert result.findings == []
    assert result.kills.total() == 10
