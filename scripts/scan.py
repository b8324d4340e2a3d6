"""``make scan``: an independent scanner's rules for deploy/aws/template.yaml, in an environment of its own.

What it is told to leave out stands in the template beside each resource, with the reason. ``--install`` only installs
it, and exits with 1 where that cannot be done.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from scripts.environments import NoInterpreter, environment  # noqa: E402

#: Without its own service, which would be asked for more about each finding.
_OPTIONS = ("--framework", "cloudformation", "--compact", "--quiet", "--skip-download")


def main() -> int:
    try:
        scanner = environment("scan").program("checkov")
    except (NoInterpreter, OSError, subprocess.SubprocessError) as error:
        print(f"the scanner cannot be installed: {error}", file=sys.stderr)
        return 1
    if "--install" in sys.argv:
        return 0
    template = ROOT / "deploy" / "aws" / "template.yaml"
    return subprocess.run([scanner, "--file", str(template), *_OPTIONS], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
