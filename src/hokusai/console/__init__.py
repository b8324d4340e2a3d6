"""The server's own pages, for people and load balancers: home, health, readiness, version."""

from hokusai.console.home import Home
from hokusai.console.readiness import Check, Readiness

__all__ = ["Check", "Home", "Readiness"]
