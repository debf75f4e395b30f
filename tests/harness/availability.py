# SHIM
from tests.harness.sources.folders import select_models as available
from tests.harness.sources.folders import unavailable_reason as unavailable
