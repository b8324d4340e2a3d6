"""What no answer may contain, whatever was asked."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

from tests.attacks.wire import Answer

#: What only a program's own diagnostics contain.
_INTERNALS = re.compile(
    rb"Traceback \(most recent|File \"[^\"]+\", line \d|site-packages|/python3\.\d+/|sqlalche\.me|\[SQL:"
    rb"|\((?:sqlite3|psycopg\w*|builtins)\.\w+\)|UNIQUE constraint|\bSELECT .{1,200} FROM \w|\bINSERT INTO \w"
    rb"|<class .|object at 0x[0-9a-f]{6,}|\.py\", line|botocore|boto3|obstore|werkzeug"
)


def forms(marker: str) -> tuple[bytes, ...]:
    """The forms in which the marker may appear: plain, UTF-16, hexadecimal, reversed, Base64 at each offset."""
    plain = marker.encode()
    found = [plain, marker.encode("utf-16-le"), marker.encode("utf-16-be"), plain.hex().encode(), plain[::-1]]
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        found.append(coded[4 if shift else 0 : -4])
    return tuple(found)


def leaks(answers: Iterable[Answer], marker: str) -> Iterator[str]:
    wanted = forms(marker)
    for answer in answers:
        text = answer.text
        for candidate in (text, unquote_to_bytes(text)):
            if any(form in candidate for form in wanted) or marker.encode().lower() in candidate.lower():
                yield f"the victim's marker is in an answer ({answer.status}, {len(text)} bytes)"
                break


def faults(answers: Iterable[Answer], allowed: frozenset[int]) -> Iterator[str]:
    """Answers that a healthy server does not give: 5xx; and 429, which would hide the real answer."""
    for answer in answers:
        if (answer.status >= 500 or answer.status == 429) and answer.status not in allowed:
            yield f"{answer.status}: {answer.body[:300].decode('utf-8', 'replace')}"


def internals(answers: Iterable[Answer], sent: bytes, known: Iterable[str]) -> Iterator[str]:
    """Paths, SQL, stack frames and hosts in an answer, unless the request had contained them."""
    said = sent + unquote_to_bytes(sent)
    for answer in answers:
        found = {match[0] for match in _INTERNALS.finditer(answer.text)}
        found |= {text.encode() for text in known if text.encode() in answer.text}
        for text in sorted(found):
            if text not in said:
                yield f"an answer shows internals: {text[:120].decode('utf-8', 'replace')!r}"
