"""``make kills``: kill a server hundreds of times, and compare what is left with what clients were told."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
from pathlib import Path

from tests import forked, hasty_sqlite
from tests.kills import campaign, report
from tests.kills.target import LAYOUTS


def main() -> int:
    """1 where anything was found."""
    parser = argparse.ArgumentParser(prog="make kills")
    parser.add_argument("--kills", type=int, default=300, help="in all layouts together")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="what an earlier run printed, to repeat it")
    parser.add_argument("--layout", action="append", choices=list(LAYOUTS), help="may be given again; default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    layouts = given.layout or list(LAYOUTS)
    print(f"kills: seed {given.seed}", file=sys.stderr, flush=True)
    hasty_sqlite.apply()
    results = []
    with forked.with_product():
        for number, name in enumerate(layouts):
            kills = given.kills // len(layouts) + (number < given.kills % len(layouts))
            with tempfile.TemporaryDirectory(prefix="hokusai-kills-") as place:
                results.append(campaign.run(LAYOUTS[name], Path(place), kills=kills, seed=given.seed))
            print(f"kills: {name}: {kills} kills, {len(results[-1].findings)} findings", file=sys.stderr, flush=True)
    print(json.dumps(report.document(results), indent=2) if given.json else report.text(results))
    return int(any(result.findings for result in results))


if __name__ == "__main__":
    sys.exit(main())
