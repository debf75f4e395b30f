# SHIM
from tests.harness.sources.folders import chosen_models as chosen_models
