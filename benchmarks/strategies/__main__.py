"""``python -m benchmarks.strategies``: what worker processes import cannot be in a ``__main__``."""

from benchmarks.strategies.sections import main

if __name__ == "__main__":
    main()
