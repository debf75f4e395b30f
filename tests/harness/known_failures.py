# SHIM
from tests.harness.data.upstream_issues import read_upstream_issues as read_known_failures

__all__ = ["read_known_failures"]
