# SHIM
from tests.harness.sources.hub import explain as explain
