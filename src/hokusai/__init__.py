"""Hokusai: the front door to an MLflow model registry.

Outside teams register models with one key, one URL and the stock MLflow client.
"""

from importlib.metadata import version

__version__ = version("hokusai")

__all__ = ["__version__"]
