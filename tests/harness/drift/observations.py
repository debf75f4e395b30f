# SHIM
from tests.tools.drift.runner import observe, task

__all__ = ["observe", "task"]
