"""A door to `adaptsample reproduce`, in a clone of the repository."""

import sys

from adaptsample.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["reproduce", *sys.argv[1:]]))
