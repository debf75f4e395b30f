# SHIM
from tests.harness.latency.statistics import judge as judge
from tests.harness.latency.statistics import lower_quartile as quartile
