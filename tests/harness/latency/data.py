# SHIM
from tests.harness.latency.spec import Rule as Rule
from tests.harness.latency.spec import read_spec as latency
