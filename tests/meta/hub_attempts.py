# SHIM
from tests.meta.support.hub_runs import CANARY as CANARY
from tests.meta.support.hub_runs import PHI3 as PHI3
from tests.meta.support.hub_runs import file_requests as asked
from tests.meta.support.hub_runs import attempt as attempt
