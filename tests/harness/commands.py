# SHIM
from tests.harness.console import exit_status as exit_status
