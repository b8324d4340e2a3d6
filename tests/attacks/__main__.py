"""``python -m tests.attacks [TARGET] [--json] [--threats N…] [--write]``: run all attacks against a server."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

from tests.attacks import report
from tests.attacks.catalogue import CASES
from tests.attacks.run import Outcome, Runner
from tests.attacks.target import NAMES, started


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.attacks", description="Run the attacks of one tenant on another against a server."
    )
    parser.add_argument("target", nargs="?", default="embedded", choices=NAMES)
    parser.add_argument(
        "--threats",
        nargs="*",
        type=int,
        metavar="N",
        help="only attacks of these threats (their numbers are in docs/attacks.md)",
    )
    parser.add_argument("--watch", action="store_true", help="print each case as it ends")
    parser.add_argument("--only", metavar="TEXT", help="only cases with this in their name")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--write", action="store_true", help="store the results, and write docs/attacks.md")
    given = parser.parse_args()
    cases = [
        case
        for case in CASES
        if (not given.threats or case.threat in given.threats) and (not given.only or given.only in case.id)
    ]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end with us
    with started(given.target) as target, tempfile.TemporaryDirectory() as place:
        runner = Runner(target, Path(place), strict=target.kind == "hokusai")
        outcomes = []
        for outcome in runner.play(cases, watch=_watch if given.watch else None):
            outcomes.append(outcome)
            if outcome.verdict == "failed":
                print(f"✗ {outcome.case.id}\n    " + "\n    ".join(outcome.reasons), file=sys.stderr, flush=True)
    result = report.result(given.target, outcomes)
    if given.write:
        report.keep(result)
    print(json.dumps(result, indent=1, ensure_ascii=False) if given.json else report.table(result))
    return 1 if any(one.verdict == "failed" for one in outcomes) else 0


def _watch(outcome: Outcome) -> None:
    print(f"{outcome.seconds:6.2f} s  {outcome.verdict}  {outcome.case.id}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
