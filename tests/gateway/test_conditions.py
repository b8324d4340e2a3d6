"""The conditions of a filter are counted: never fewer than MLflow finds, and not many more in what people write."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from hokusai.gateway import conditions


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("tags.a = 'x'", 1),
        ("tags.a = 'x = y and z != 1' AND params.b LIKE '%in%'", 2),
        ("metrics.`a = b` > 0.5 and metrics.domain <= 1e-3", 2),
        ("attributes.run_id IN ('a', 'b', 'c')", 1),
        ("tags.basis IS NOT NULL", 1),
        ("tags.a\n=\n'1'\nAND\ntags.b\tILIKE\t\"x\"", 2),
    ],
)
def test_what_people_write_is_counted_exactly(text: str, count: int) -> None:
    assert conditions.count(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "tags.a = 'x' -- ' \nand tags.b = 'y",
        "tags.a = 'x' /* ' */ and tags.b = 'y' /* ' */",
        r"tags.a = '\' and tags.b = 'y'",
        r"tags.a = '\0' and tags.b = 'y' and tags.c = 'z'",
        "tags.a = 'it''s and tags.b = ''s'",
        "(tags.a='1')and(tags.b='2')",
        "tags.a LIKE'1'and tags.b IN('2')",
        "tags.a = \"' and tags.b = '\" and tags.c = ''",
        "tags.a = $$'$$ and tags.b = $$'$$",
    ],
)
def test_no_quote_hides_one(text: str) -> None:
    assert conditions.count(text) >= 2


@pytest.mark.process  # importing MLflow starts one
@pytest.mark.filterwarnings("ignore")
def test_it_never_counts_fewer_than_mlflow() -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.search_utils import SearchModelUtils, SearchUtils

    read = 0
    for text in _filters(random.Random(28)):
        for parse in (SearchUtils.parse_search_filter, SearchModelUtils.parse_search_filter):
            try:
                found = len(parse(text))
            except (MlflowException, ValueError, TypeError, AttributeError, IndexError):
                continue
            read += 1
            assert found <= conditions.count(text), text
    assert read > 100


def _filters(rng: random.Random) -> Iterator[str]:
    """Filters with pieces put in between that one reader or another may take for something else."""
    pieces = ["'1'", '"b"', "`c`", "=", "!=", " LIKE ", "ilike", " IN ", "('a','b')", "\n", " and ", " AND ", "'", '"']
    pieces += ["`", "\\", "--", "/*", "*/", "#", "$$", "´", "(", ")", "[", "]", "x", "1", " IS NULL", "''", "N'", "E'"]
    for _ in range(2000):
        text = list(" and ".join(f"tags.a = '{number}'" for number in range(rng.randint(1, 5))))
        for _ in range(rng.randint(0, 4)):
            text.insert(rng.randint(0, len(text)), rng.choice(pieces))
        yield "".join(text)
