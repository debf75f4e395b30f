# SHIM
from tests.tools.drift.summary import differs

__all__ = ["differs"]
