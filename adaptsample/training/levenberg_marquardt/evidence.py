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

from adaptsample.training.levenberg_marquardt.normal import Normal, dual_gram

START_ALPHA, START_BETA = 0.1, 1e2


class Prior(NamedTuple):
    """Prior and noise of B networks.

    Attributes:
        precision: alpha / beta of each parameter (B, P); zero for no prior.
        beta: noise precision of each network.
        groups: group of each parameter (P,); empty to leave everything as it is. Of a network's
            layer, the weights of one input are in one group.
        n_observed: number of observed residuals of each network, m.
    """

    precision: Tensor
    beta: list[float]
    groups: Tensor
    n_observed: list[int]


def flat_prior(n_parameters: int) -> Prior:
    """Return no prior at all, for one network."""
    nothing = torch.zeros(0, dtype=torch.long)
    return Prior(torch.zeros(1, n_parameters, dtype=torch.float64), [1.0], nothing, [0])


def grouped_prior(groups: Tensor, n_observed: int) -> Prior:
    """Return the prior that training with evidence starts from, for one network."""
    precision = torch.full([1, len(groups)], START_ALPHA / START_BETA, dtype=torch.float64)
    return Prior(precision, [START_BETA], groups, [n_observed])


def determined(normal: Normal, groups: Tensor, n_groups: int) -> tuple[Tensor, list[bool]]:
    """Return gamma (B, n_groups), and for which of the batch it could be computed."""
    jacobian, precision = normal.jacobian, normal.precision
    gram = dual_gram(jacobian, 1 / precision) if normal.dual else normal.gram.clone()
    diagonal = gram.diagonal(dim1=1, dim2=2)
    diagonal.add_(torch.ones_like(diagonal) if normal.dual else precision)
    factor, info = torch.linalg.cholesky_ex(gram)
    is_regular = (info == 0) & (factor.diagonal(dim1=1, dim2=2) > 0).all(1)
    computed: list[bool] = is_regular.tolist()
    unit = torch.eye(gram.size(1), dtype=gram.dtype)
    factor = torch.where(is_regular.unsqueeze(1).unsqueeze(2), factor, unit)
    gamma = torch.zeros([precision.size(0), n_groups], dtype=precision.dtype)
    if normal.dual and len(jacobian.inputs) == 0:
        whitened = torch.linalg.solve_triangular(factor, jacobian.matrix, upper=False)
        return gamma.index_add_(1, groups, (whitened * whitened).sum(1) / precision), computed
    inverse = torch.cholesky_inverse(factor)
    if not normal.dual:
        share = 1 - precision * inverse.diagonal(dim1=1, dim2=2)
        return gamma.index_add_(1, groups, share), computed
    position = 0
    for i, h in enumerate(jacobian.inputs):  # of a layer, no more than sums over the outputs
        g = jacobian.slopes[i]
        end = position + h.size(1) * g.size(1)
        inner = torch.bmm(g.transpose(1, 2), g).mul_(inverse)
        of_inputs = (torch.bmm(h, inner) * h).sum(2) / precision[:, position : end : g.size(1)]
        of_bias = inner.sum([1, 2]).unsqueeze(1) / precision[:, end : end + 1]
        gamma.index_add_(1, groups[position : end : g.size(1)], of_inputs)
        gamma.index_add_(1, groups[end : end + 1], of_bias)
        position = end + g.size(1)
    return gamma, computed


def reestimate(
    prior: Prior, residual: Tensor, normal: Normal, theta: Tensor, n_iterations: list[int]
) -> Prior:
    """Return the prior of largest evidence for each network that has made enough iterations."""
    warm_up = 20  # iterations with a fixed prior
    ramp = 32  # iterations, after these, with a floor under beta: 100, and ten times more every 8
    max_alpha, max_beta = 1e10, 1e16

    if max(n_iterations) < warm_up:
        return prior
    groups = prior.groups
    n_groups = int(groups.max()) + 1
    gamma, computed = determined(normal, groups, n_groups)
    square = torch.zeros_like(gamma).index_add_(1, groups, theta * theta)
    alpha = (gamma / square.clamp(min=1e-300)).clamp(min=1e-10, max=max_alpha)
    n_determined: list[float] = gamma.sum(1).tolist()
    misfit: list[float] = (residual * residual).sum(1).tolist()
    precision, betas = prior.precision.clone(), prior.beta.copy()
    for i, n_made in enumerate(n_iterations):
        if not computed[i] or n_made < warm_up:
            continue
        beta, n_left = prior.beta[i], prior.n_observed[i] - n_determined[i]
        if n_left > 1e-9 * prior.n_observed[i]:  # or else it is rounding
            beta = n_left / max(misfit[i], 1e-300)
        floor = 0.0
        if n_made < warm_up + ramp:
            floor = 100 * 10 ** ((n_made - warm_up) / 8)
        betas[i] = min(max(beta, floor, 1e-6), max_beta)
        precision[i] = alpha[i][groups] / betas[i]
    return Prior(precision, betas, groups, prior.n_observed)
