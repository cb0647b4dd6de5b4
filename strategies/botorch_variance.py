"""BoTorch's integrated variance: its Gaussian process, its acquisition function."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample import State
from adaptsample.acquisition import CandidateStrategy
from adaptsample.core import Points, needs_extra


@final
@dataclass(frozen=True)
class BotorchVariance(CandidateStrategy[Any]):
    """qNegIntegratedPosteriorVariance of a SingleTaskGP, greedily over the candidates.

    The process is BoTorch's own, with its default priors, fitted to the training set whatever the
    surrogate is (Balandat et al., BoTorch, NeurIPS 2020); several outputs count alike.

    Cost: a fit, training points^3; then `n_candidates` posteriors of `n_target` points for each
    point.

    Args:
        n_target: points, which fill the domain, at which the variance is to shrink.

    Raises:
        MissingExtraError: BoTorch is not installed.
    """

    uses_model: ClassVar[bool] = False
    n_candidates: int = 100
    n_target: int = 64

    def choose(
        self, x: Points, state: State[Any], n: int, *, generator: Generator
    ) -> Int64[Tensor, " m"]:
        """Return the candidates in the order in which they are chosen."""
        unit, domain = state.domain.to_unit, state.domain
        target = unit(domain.sobol(self.n_target, generator=state.generator("target")))
        candidates, pending, chosen = unit(x), unit(state.pending), list[int]()
        with (
            torch.random.fork_rng(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # at its import too
            with needs_extra("botorch", "botorch_variance"):
                from botorch.acquisition.active_learning import (  # noqa: PLC0415
                    qNegIntegratedPosteriorVariance,
                )
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
            standard = (state.data.y - state.data.y.mean(dim=0)) / state.spread
            process = _fitted(unit(state.data.x), standard)
            free = torch.ones(len(x), dtype=torch.bool)
            for _ in range(n):
                acquisition = qNegIntegratedPosteriorVariance(
                    process,
                    mc_points=target,
                    X_pending=torch.cat([pending, candidates[chosen]]),
                    posterior_transform=_mean_of_outputs(state.data.y.shape[1]),
                )
                with torch.no_grad():
                    score = acquisition(candidates[:, None])
                chosen.append(int(torch.where(free, score, -torch.inf).argmax()))
                free[chosen[-1]] = False
        return torch.tensor(chosen)


def _fitted(x: Points, standard: Float[Tensor, "n k"]) -> Any:
    """Return a fitted process; where the fit fails, one with the parameters it began with."""
    with needs_extra("botorch", "botorch_variance"):
        from botorch.exceptions.errors import ModelFittingError  # noqa: PLC0415
        from botorch.fit import fit_gpytorch_mll  # noqa: PLC0415
        from botorch.models import SingleTaskGP  # noqa: PLC0415
        from gpytorch.mlls import ExactMarginalLogLikelihood  # noqa: PLC0415

    process = SingleTaskGP(x, standard, outcome_transform=None)
    try:
        fit_gpytorch_mll(ExactMarginalLogLikelihood(process.likelihood, process))
    except ModelFittingError:
        process.eval()
    return process


def _mean_of_outputs(n_outputs: int) -> Any:
    from botorch.acquisition.objective import ScalarizedPosteriorTransform  # noqa: PLC0415

    return ScalarizedPosteriorTransform(torch.full((n_outputs,), 1 / n_outputs).double())
