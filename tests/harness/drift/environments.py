# SHIM
from tests.tools.drift.environments import MARKER, Environment

__all__ = ["MARKER", "Environment"]
