"""The command line: one file for each noun. ``output`` prints results and errors, ``options`` has shared options.

Commands that talk to a server use ``hokusai.Client``, so a script can do whatever a command does.
"""

from hokusai.cli.app import main

__all__ = ["main"]
