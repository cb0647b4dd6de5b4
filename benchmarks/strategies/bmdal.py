"""The selection methods of bmdal_reg (Holzmüller et al., JMLR 24, 2023) behind one function.

The package was last released for NumPy 1, where infinity was called np.Inf as well; it gets that
name for as long as it runs, and nothing else of it is changed. It is imported when it is used:
neither the library nor its tests need it.
"""

from importlib import import_module
from typing import Final
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

CLASSES: Final = {
    "lcmd": "LargestClusterMaxDistSelectionMethod",
    "core_set": "MaxDistSelectionMethod",
    "k_means_plus_plus": "KmeansppSelectionMethod",
    "max_det": "MaxDetSelectionMethod",
    "max_det, in feature space": "MaxDetFeatureSpaceSelectionMethod",
    "bait": "BaitFeatureSpaceSelectionMethod",
}
"""Its classes by the names of our strategies."""


def select(
    method: str, new: Tensor, known: Tensor, n: int, *, alone: bool, noise: float, seed: int
) -> list[int]:
    """Return the rows that bmdal_reg selects, in its order.

    Args:
        method: a key of `CLASSES`.
        new: features of the pool.
        known: features of the training set.
        n: how many to select.
        alone: the training set is left out (its P-mode, instead of its TP-mode).
        noise: standard deviation of the noise, for those that know of any.
        seed: of torch's global generator, which it draws from. A first point that NumPy would
            draw, where there is no other, is row 0.
    """
    with (
        patch.object(np, "Inf", np.inf, create=True),
        patch.object(np.random, "randint", return_value=0),
        torch.random.fork_rng(),
    ):
        torch.manual_seed(seed)
        selection = import_module("bmdal_reg.bmdal.selection")

        def features(rows: Tensor) -> object:
            feature_map = selection.IdentityFeatureMap(n_features=rows.shape[1])
            return selection.Features(feature_map, selection.TensorFeatureData(rows)).precompute()

        options = {"sel_with_train": not alone, "noise_sigma": noise, "verbosity": 0}
        chosen = getattr(selection, CLASSES[method])(features(new), features(known), **options)
        return list(map(int, chosen.select(n)))
