# SHIM
from tests.tools.budget.summary import Report as Report
