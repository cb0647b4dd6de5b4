"""A door to `adaptsample run`, in a clone of the repository."""

import sys

from adaptsample.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
