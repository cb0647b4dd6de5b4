from .ledger import Ledger as Ledger
from .run_file import Recorded as Recorded
from .run_file import read as read
