# SHIM
from tests.harness.console import Progress as Progress
from tests.harness.console import say as say
