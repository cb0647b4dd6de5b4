"""The surrogate that chooses among the others, by their held-out errors."""

from adaptsample.surrogates.auto.effort import EFFORTS as EFFORTS
from adaptsample.surrogates.auto.portfolio import NETWORKS as NETWORKS
from adaptsample.surrogates.auto.portfolio import Member as Member
from adaptsample.surrogates.auto.surrogate import Auto as Auto
from adaptsample.surrogates.auto.surrogate import AutoModel as AutoModel
