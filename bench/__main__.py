"""``python -m bench [IDS…] [--rounds N]``: run benchmarks, store the results, write the page."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping

from bench import fairness, keys, layers, memory, page, read, register, rest, results, servers, transfer
from bench.results import Result

BENCHMARKS: Mapping[str, Callable[[int], Result]] = {
    "read": read.run,
    "register": register.run,
    "rest": rest.run,
    "transfer": transfer.run,
    "memory": memory.run,
    "servers": servers.run,
    "layers": layers.run,
    "keys": keys.run,
    "fairness": fairness.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure Hokusai and other servers in turns.")
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"{', '.join(BENCHMARKS)}; none: all of them")
    parser.add_argument(
        "--rounds", type=int, default=7, help="turns per server; results of fewer than 5 are not stored"
    )
    given = parser.parse_args()
    if unknown := set(given.ids) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # so that the servers end with us
    for name in given.ids or BENCHMARKS:
        print(f"{name}:", file=sys.stderr, flush=True)
        found = BENCHMARKS[name](given.rounds)
        print(page.section(found), flush=True)
        if given.rounds >= 5:
            results.save([found])
            kept = results.latest()
            page.write({one: kept[one] for one in BENCHMARKS if one in kept})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
