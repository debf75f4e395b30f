# SHIM
from tests.harness.prices.dataset import DataSet as DataSet
from tests.harness.prices.dataset import rows_in as rows_in
