# SHIM
from tests.meta.support.small_project import KNOWN as KNOWN
from tests.meta.support.small_project import MODES as MODES
from tests.meta.support.small_project import TROUBLE as TROUBLE
from tests.meta.support.small_project import small as small
