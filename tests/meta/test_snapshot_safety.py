# SHIM
from tests.meta.support.small_project import CASE as CASE
from tests.meta.support.small_project import FIRST as FIRST
from tests.meta.support.small_project import LAST as LAST
from tests.meta.support.small_project import NODE as NODE
from tests.meta.support.small_project import PROMPTS as PROMPTS
from tests.meta.support.small_project import change as change
from tests.meta.support.small_project import plant as plant
from tests.meta.support.small_project import shrink as shrink
from tests.meta.support.small_project import state as state
from tests.meta.support.small_project import update as update
