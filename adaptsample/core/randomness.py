"""All randomness comes from here: a generator is a function of (seed, role, round).

Nothing about randomness has to be saved to resume a run, and global random state is never touched.
"""

import hashlib

import torch
from torch import Generator


def derive_generator(seed: int, role: str, index: int = 0) -> Generator:
    """Return the CPU generator that belongs to one role in one round of a run.

    Args:
        seed: the run's seed, any integer.
        role: what the numbers are for, e.g. ``"initial"``, ``"fit"``, ``"propose"``.
        index: the round, or any other counter.
    """
    digest = hashlib.sha256(f"{seed}/{role}/{index}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def draw_seed(generator: Generator) -> int:
    """Draw a seed for a library that has generators of its own."""
    return int(torch.randint(2**31 - 1, (), generator=generator))
