"""What people and load balancers ask the server itself: the home page, health, readiness, version."""

from hokusai.console.home import Home
from hokusai.console.readiness import Check, Readiness

__all__ = ["Check", "Home", "Readiness"]
