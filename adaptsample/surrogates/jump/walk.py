"""Hit-and-run in many convex sets at once, one compiled program.

Draw a direction, then a uniform point of the chord along it (Smith, Operations Research 32, 1984).
Many chains take their directions from one another, so that a thin set costs no more than a round
one. The steps are so small that an interpreter would take longer over them than the arithmetic
does.
"""

from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from adaptsample.core.work import Work
from adaptsample.training.torchscript import script

RESOLUTION = 1e-12
"""Values closer to zero than this have no sign: a chain keeps so far away from every facet."""

NEAREST = 48
"""Facets of each of many sets that a chain minds in a stretch of its walk."""

STRETCH = 20
"""Steps of a stretch."""

START_NOISE = 1e-3
"""What takes chains out of a common start, in units of the box."""

OUT_OF_REACH = 1e3
"""Added to the values at facets that do not bind."""

Chains: TypeAlias = Float[Tensor, "s m p"]
"""Points in each of some sets."""


class Sets(NamedTuple):
    """Where chains may go.

    Attributes:
        normals: of all facets, those of the box included (f, p).
        offsets: values at the facets where b is 0 (s, f).
        has: which coordinates each set has (s, p).
        resolution: the least value inside.
    """

    normals: Tensor
    offsets: Tensor
    has: Tensor
    resolution: float


class Draws(NamedTuple):
    """The randomness of some moves of half of the chains.

    Attributes:
        directions: weights of the resting chains, and noise (moves, half, half + p).
        shares: of the chords (moves, half, 1).
    """

    directions: Tensor
    shares: Tensor


def walk(
    facets: Float[Tensor, "f p"],
    binds: Bool[Tensor, "s f"],
    has: Bool[Tensor, "s p"],
    chains: Chains,
    n_steps: int,
    *,
    work: Work,
    generator: Generator,
) -> Chains:
    """Walk in the sets of all b in the box [-1, 1]^p with ``facets @ b > 0`` where a facet binds.

    Args:
        facets: normals.
        binds: which of them bind in which set; the others are not minded.
        has: which coordinates a set has; the others are 0.
        chains: where to begin, inside.
        n_steps: how often each chain moves.
        work: where the walk is counted.
        generator: the source of directions and of the points on the chords.
    """
    n_sets, n_chains, p = chains.shape
    half, box = n_chains // 2, torch.eye(p, dtype=chains.dtype)
    offsets = torch.where(binds, 0.0, OUT_OF_REACH).to(chains.dtype)
    offsets = torch.cat([offsets, offsets.new_ones(n_sets, 2 * p)], dim=1)
    sets = Sets(torch.cat([facets, -box, box]), offsets, has, RESOLUTION)
    is_new = bool((chains == chains[:, :1]).all())  # which facets are near, they cannot know yet
    # chains of other sets in the same place share the draws: they are rolled, to share no luck
    rolled = torch.stack([chain.roll(s, dims=0) for s, chain in enumerate(chains)])
    for begin in range(0, n_steps, STRETCH):
        n_moves = 2 * min(STRETCH, n_steps - begin)
        minds_all = n_sets == 1 or (is_new and begin == 0)
        nearest = len(sets.normals) if minds_all else min(NEAREST, len(sets.normals))
        directions = torch.randn(n_moves, half, half + p, dtype=chains.dtype, generator=generator)
        shares = torch.rand(n_moves, half, 1, dtype=chains.dtype, generator=generator)
        noise = START_NOISE if begin == 0 else 0.0
        rolled = script(_stretch, is_tuned=False)(
            sets, rolled, Draws(directions, shares), nearest, noise
        )
        work.count(n_moves * n_sets * half * (p * half + (p + 10.0) * nearest), calls=n_moves)
    return torch.stack([chain.roll(-s, dims=0) for s, chain in enumerate(rolled)])


def _stretch(sets: Sets, chains: Tensor, draws: Draws, nearest: int, noise: float) -> Tensor:
    """Let half of the chains move at a time, along directions of the covariance of the others.

    A little noise takes them out of their common start. They mind the facets that are nearest, in
    standard deviations of the chains; who crosses another goes back to where the stretch began,
    which leaves the distribution as it is (Metropolis).
    """
    half, n_facets = chains.size(1) // 2, sets.normals.size(0)
    levels = torch.matmul(chains, sets.normals.t()) + sets.offsets.unsqueeze(1)  # positive inside
    minded = sets.normals.t().unsqueeze(0)
    if nearest < n_facets:
        distances = levels.mean(dim=1) / levels.std(dim=1).clamp_min(1e-300)
        chosen = distances.topk(nearest, largest=False)[1]
        minded = sets.normals[chosen].mT.contiguous()
        levels = levels.gather(2, chosen.unsqueeze(1).expand(-1, levels.size(1), -1))
    moving, resting = chains[:, :half], chains[:, half:]
    own, other = levels[:, :half], levels[:, half:]
    weights = draws.directions[:, :, :half]
    weights = (weights - weights.mean(dim=2, keepdim=True)) / half**0.5
    n_coordinates = sets.has.sum(dim=1, keepdim=True)
    size = torch.zeros_like(moving[:, :1])
    for step in range(draws.shares.size(0)):
        if step % 10 < 2:  # seldom, for each half
            variance = resting.var(dim=1, unbiased=False).sum(dim=1, keepdim=True)
            size = 0.1 * (variance / n_coordinates).sqrt() + (noise if step < 20 else 0.0)
            size = (size * sets.has).unsqueeze(1)
        along = torch.matmul(weights[step], resting) + size * draws.directions[step, :, half:]
        slopes = torch.matmul(along, minded)
        rates = slopes / own  # minus one over the length at which a facet is reached
        ahead, behind = rates.amin(dim=2, keepdim=True), rates.amax(dim=2, keepdim=True)
        share = draws.shares[step]
        length = (share - 1) / behind - share / ahead
        moved = torch.addcmul(own, slopes, length)
        is_inside = moved.amin(dim=2, keepdim=True) > sets.resolution
        own = torch.where(is_inside, moved, own)
        moving = torch.where(is_inside, torch.addcmul(moving, along, length), moving)
        moving, resting, own, other = resting, moving, other, own
    ended = torch.cat([moving, resting], dim=1)
    if nearest < n_facets:
        levels = torch.matmul(ended, sets.normals.t()) + sets.offsets.unsqueeze(1)
        is_inside = levels.amin(dim=2, keepdim=True) > sets.resolution
        ended = torch.where(is_inside, ended, chains)
    return ended
