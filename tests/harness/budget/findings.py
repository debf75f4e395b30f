# SHIM
from tests.tools.budget.output import findings as findings
from tests.tools.budget.output import findings_file as findings_file
