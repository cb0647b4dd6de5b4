"""A door to `adaptsample compare`, in a clone of the repository."""

import sys

from adaptsample.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
