"""The command line: one file per noun; ``output`` is what people and scripts see of it.

Everything but ``serve`` goes through ``hokusai.Client``, so a script can do what a command does.
"""

from hokusai.cli.app import main

__all__ = ["main"]
