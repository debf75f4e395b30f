# SHIM
from tests.harness.sources.hub import ask as ask
