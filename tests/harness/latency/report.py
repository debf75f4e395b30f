# SHIM
from tests.harness.latency.terminal import LatencyFigures as LatencyFigures
from tests.harness.latency.terminal import not_passed as not_passed
from tests.harness.latency.terminal import shown as shown
