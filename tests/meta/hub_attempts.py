# SHIM
from tests.meta.support.hub_runs import CANARY as CANARY
from tests.meta.support.hub_runs import PHI3 as PHI3
from tests.meta.support.hub_runs import asked as asked
from tests.meta.support.hub_runs import attempt as attempt
