"""``python -m benchmarks.peers``: what worker processes import cannot be in a ``__main__``."""

from benchmarks.peers.comparison import main

if __name__ == "__main__":
    main()
