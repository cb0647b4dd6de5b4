"""How smooth the network should be, estimated from the data (MacKay 1992).

Parameters in one group share a Gaussian prior of precision alpha, the residuals have noise of
precision beta. Both maximise the evidence, the probability of the data after the network has been
linearised, and are re-estimated as training goes on:

    gamma_g = sum_(p in g) (1 - alpha_g Sigma_pp),   Sigma = (beta J^T J + diag(alpha))^-1,
    alpha_g = gamma_g / |theta_g|^2,                 beta = (m - sum_g gamma_g) / |r|^2.

gamma counts the parameters that the data determine. A group of its own for each input (ARD) tells
the inputs that matter from those that do not.

Estimates from a network that has learnt nothing yet are a trap: no structure, hence only noise,
hence no reason to learn. So training starts with a fixed prior, and for some time after that beta
is held above a floor that rises.

References:
    D. J. C. MacKay (1992), A practical Bayesian framework for backpropagation networks.
    R. M. Neal (1996), Bayesian learning for neural networks (ARD).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from adaptsample.training.levenberg_marquardt.normal import Jacobian, dual_gram, lower_gram

START_ALPHA, START_BETA = 0.1, 1e2


class Prior(NamedTuple):
    """Prior and noise.

    Attributes:
        precision: alpha / beta of each parameter (P,); zero for no prior.
        beta: noise precision.
        groups: group of each parameter (P,); empty to leave everything as it is.
        n_observed: number of observed residuals, m.
    """

    precision: Tensor
    beta: float
    groups: Tensor
    n_observed: int


def flat_prior(n_parameters: int) -> Prior:
    """Return no prior at all."""
    nothing = torch.zeros(0, dtype=torch.long)
    return Prior(torch.zeros(n_parameters, dtype=torch.float64), 1.0, nothing, 0)


def grouped_prior(groups: Tensor, n_observed: int) -> Prior:
    """Return the prior that training with evidence starts from."""
    precision = torch.full([len(groups)], START_ALPHA / START_BETA, dtype=torch.float64)
    return Prior(precision, START_BETA, groups, n_observed)


def determined(jacobian: Jacobian, precision: Tensor) -> tuple[Tensor, bool]:
    """Return 1 - alpha_p Sigma_pp (P,) for each parameter, and whether it could be computed."""
    j = jacobian.matrix
    if j.size(0) < j.size(1):
        gram = dual_gram(jacobian, 1 / precision)
        gram.diagonal().add_(1.0)
        factor, info = torch.linalg.cholesky_ex(gram)
        if int(info) != 0:
            return precision, False
        whitened = torch.linalg.solve_triangular(factor, j, upper=False)
        return (whitened * whitened).sum(0) / precision, True
    gram = lower_gram(j)
    gram.diagonal().add_(precision)
    factor, info = torch.linalg.cholesky_ex(gram)
    if int(info) != 0 or bool((factor.diagonal() == 0).any()):
        return precision, False
    return 1 - precision * torch.cholesky_inverse(factor).diagonal(), True


def reestimate(
    prior: Prior, residual: Tensor, jacobian: Jacobian, theta: Tensor, iteration: int
) -> Prior:
    """Return the prior of largest evidence for this network, if it is time for a new one."""
    warm_up = 20  # iterations with a fixed prior
    ramp = 32  # iterations, after these, with a floor under beta: 100, and ten times more every 8
    every = 3  # iterations between two estimates
    max_alpha, max_beta = 1e10, 1e16

    groups = prior.groups
    if groups.size(0) == 0 or iteration < warm_up or iteration % every != 0:
        return prior
    share, computed = determined(jacobian, prior.precision)
    if not computed:
        return prior
    n_groups = int(groups.max()) + 1
    gamma = torch.zeros(n_groups, dtype=theta.dtype).index_add_(0, groups, share)
    square = torch.zeros(n_groups, dtype=theta.dtype).index_add_(0, groups, theta * theta)
    alpha = (gamma / square.clamp(min=1e-300)).clamp(min=1e-10, max=max_alpha)
    n_left = prior.n_observed - float(gamma.sum())
    beta = prior.beta
    if n_left > 1e-9 * prior.n_observed:  # or else it is rounding
        beta = n_left / max(float(residual.dot(residual)), 1e-300)
    floor = 0.0
    if iteration < warm_up + ramp:
        floor = 100 * 10 ** ((iteration - warm_up) / 8)
    beta = min(max(beta, floor, 1e-6), max_beta)
    return Prior(alpha[groups] / beta, beta, groups, prior.n_observed)
