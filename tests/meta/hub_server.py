# SHIM
from tests.meta.support.hub_server import Seen as Seen
from tests.meta.support.hub_server import serve as serve
