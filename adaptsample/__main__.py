"""``python -m adaptsample``."""

import sys

from adaptsample.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
