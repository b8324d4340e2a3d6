"""Hypothesis, without its time limit for each example: on a busy machine any example may be slow."""

from hypothesis import given, settings
from hypothesis import strategies as st

__all__ = ["given", "st"]

settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
