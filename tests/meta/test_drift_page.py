# SHIM
from tests.meta.support.html_reader import HOSTILE, Reader, read

__all__ = ["HOSTILE", "Reader", "read"]
