# SHIM
from tests.harness.latency.recording import read_recording as read_recording
