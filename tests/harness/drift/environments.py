# SHIM
from tests.tools.drift.environments import Environment

__all__ = ["Environment"]
