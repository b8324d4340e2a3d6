"""How many conditions a filter of MLflow's has: never fewer than MLflow finds in it.

Each condition is a join in MLflow's query, and SQLite joins 64 tables at most; long before, the query takes minutes to
compile. MLflow reads a filter with a parser of SQL, and each condition has an operator of its own. So operators are
counted, outside of quotes. Where a text is not plainly quoted, two readers could disagree on what is inside of a quote:
there every operator counts, wherever it is.
"""

from __future__ import annotations

import re

#: Text in one of the three kinds of quote, with nothing in it that could be read as an escape.
_QUOTED = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"|`[^`\\]*`")
#: What filters have outside of quotes. No comments, no other quotes, no escapes.
_PLAIN = re.compile(r"[\w\s.,()=!<>%+:*/-]*", re.ASCII)
_COMMENT = re.compile(r"--|/\*")
_OPERATOR = re.compile(r"[=!<>]+|(?<![a-z_])(?:[ir]?like|in|is|between|match|regexp)(?![a-z_])", re.IGNORECASE)


def count(text: str) -> int:
    """The number of conditions, or more."""
    outside = _QUOTED.sub(" x ", text)
    plain = _PLAIN.fullmatch(outside) and not _COMMENT.search(outside) and not _doubled(text)
    return len(_OPERATOR.findall(outside if plain else text))


def _doubled(text: str) -> bool:
    """Whether two quoted texts touch: in SQL, a doubled quote is a quote inside of the text."""
    return any(quote * 2 in text for quote in "'\"`")
