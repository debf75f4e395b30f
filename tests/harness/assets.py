# SHIM
from tests.harness.sources.fetch import KEPT as KEPT
from tests.harness.sources.fetch import relayed as relayed
from tests.harness.sources.fetch import users_own as users_own
from tests.harness.sources.folders import SOURCES as SOURCES
from tests.harness.sources.folders import Sources as Sources
from tests.harness.sources.folders import parse_directories as parse_directories
from tests.harness.sources.folders import prepare as prepare
