"""``make lab``: every broken deployment, and what the doctor says of it. usage: python -m lab [--fast] [WORD …]"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from hokusai.doctor import FAULTS
from lab.rows import Bench
from lab.run import ROWS, Found, examine

#: The least share of rows whose first-named fault is the planted one.
FIRST = 0.9


def main(arguments: list[str]) -> int:
    console = Console(width=150)
    words = [one for one in arguments if not one.startswith("--")]
    rows = [
        row
        for row in ROWS
        if ("--fast" not in arguments or row.fast)
        and (not words or any(word in (row.fault, row.title) for word in words))
    ]
    bench = Bench()
    found: list[Found] = []
    try:
        for row in rows:
            found.append(examine(row, bench))
            console.print(_line(found[-1]), markup=False, highlight=False)
            if not found[-1].right and found[-1].document:
                for check in (found[-1].document or {}).get("checks", ()):
                    if check["status"] == "fail":
                        console.print(
                            f"        {check['id']}: {check['evidence'][:400]}", markup=False, highlight=False
                        )
    finally:
        bench.close()
    return _judge(console, found)


def _line(one: Found) -> str:
    mark = "!" if one.broke else "–" if one.missing else "✓" if one.right else "2" if one.place == 2 else "✗"
    named = one.broke or one.missing or ", ".join(one.named[:4]) or "nothing"
    return f"{mark} {one.seconds:5.1f} s  {one.row.fault or 'healthy':32} {one.row.title[:62]:62} → {named}"


def _judge(console: Console, found: list[Found]) -> int:
    built = [one for one in found if one.document]
    broken = [one for one in built if one.row.fault]
    sound = [one for one in built if not one.row.fault]
    confused = Table("planted", "named first", "rows", title="Planted × named, where they differ")
    for one in broken:
        if one.place != 1:
            confused.add_row(one.row.fault, one.named[0] if one.named else "nothing", one.row.title)
    if confused.row_count:
        console.print(confused)
    first = sum(one.place == 1 for one in broken)
    second = sum(one.place in {1, 2} for one in broken)
    faults = {one.row.fault for one in broken}
    console.print(
        f"{len(broken)} rows with {len(faults)} faults: {first} named first, {second} among the first two; "
        f"{len(sound)} healthy ones: {sum(not one.right for one in sound)} with findings"
    )
    for one in found:
        if one.missing:
            console.print(f"not built: {one.row.fault}: {one.missing}")
    unknown = faults - FAULTS.keys()
    unbroken = not any(one.broke for one in found)
    good = (
        unbroken
        and first >= FIRST * len(broken)
        and second == len(broken)
        and all(one.right for one in sound)
        and not unknown
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
