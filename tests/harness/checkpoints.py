# SHIM
from tests.harness.sources.checkpoints import SPARE as SPARE
from tests.harness.sources.checkpoints import SUMS as SUMS
from tests.harness.sources.checkpoints import copy_generation_config as copy_generation_config
from tests.harness.sources.checkpoints import damaged as damaged
from tests.harness.sources.checkpoints import dummy as dummy
