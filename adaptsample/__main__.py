"""``python -m adaptsample``."""

import sys

from adaptsample.cli.ask_tell import main

if __name__ == "__main__":
    sys.exit(main())
