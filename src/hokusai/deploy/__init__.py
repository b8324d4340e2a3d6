"""Releases as code: build, push, migrate, roll out, wait, prove, and roll back where a step fails.

A ``Release`` goes through ``STEPS``. ``plan``, ``up``, ``status`` and ``down`` are the commands of the command line.
How a release is proven is an argument (``Prove``). This package imports no server package.
"""

from hokusai.deploy.aws import Aws
from hokusai.deploy.deployment import down, plan, stack_of, status, up
from hokusai.deploy.engine import Engine, OnLine
from hokusai.deploy.proof import Deployed, Proof, Prove
from hokusai.deploy.record import Record, Records, instant
from hokusai.deploy.release import STEPS, Release
from hokusai.deploy.source import Source, read
from hokusai.deploy.stack import Stack
from hokusai.deploy.step import Done, Run, State, Step

__all__ = [
    "STEPS",
    "Aws",
    "Deployed",
    "Done",
    "Engine",
    "OnLine",
    "Proof",
    "Prove",
    "Record",
    "Records",
    "Release",
    "Run",
    "Source",
    "Stack",
    "State",
    "Step",
    "down",
    "instant",
    "plan",
    "read",
    "stack_of",
    "status",
    "up",
]
