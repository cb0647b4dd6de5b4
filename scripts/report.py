"""A door to `adaptsample report`, in a clone of the repository."""

import sys

from adaptsample.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
