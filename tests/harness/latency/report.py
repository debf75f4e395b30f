# SHIM
from tests.harness.latency.session import LatencyFigures as LatencyFigures
from tests.harness.latency.terminal import format_seconds as shown
