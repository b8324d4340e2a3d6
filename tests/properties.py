"""Hypothesis, without its time limit for each example: on a busy machine any example may be slow."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

__all__ = ["given", "st"]

#: How many examples are tried: ``make fuzz`` sets "long", ``make unit`` "short".
FUZZ = os.environ.get("HOKUSAI_TEST_FUZZ", "")

settings.register_profile("tests", deadline=None, max_examples=20 if FUZZ == "short" else 100)
settings.load_profile("tests")
