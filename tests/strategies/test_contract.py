"""Every registered strategy keeps the contract; a new file in strategies/ is tested unasked."""

import pytest

from adaptsample.registry import make_strategy, strategies
from adaptsample.testing import StrategyContract

# The same classes with less work than their defaults; whatever is not here is tested as it is.
QUICK = {
    "botorch_variance": "botorch_variance(n_candidates=16, n_target=8)",
    "boundary": "boundary(n_candidates=100, n_steps=3)",
    "disagreement": "disagreement(n_candidates=100, n_steps=3)",
}

EXEMPT = {
    # They sum the absolute changes of all outputs, in the units of the data.
    "test_each_output_has_a_unit_of_its_own": {
        "diverse_topk",
        "gradient",
        "softmax",
        "swap",
        "topk",
    },
    # The whole batch is chosen at once, among the same candidates.
    "test_a_batch_is_chosen_one_after_another": {"k_means_plus_plus"},
    # All of its points are of the sequence, not a share.
    "test_a_share_of_the_points_fills_the_space_exactly": {"sobol"},
}
"""The strategies that do not make a promise, by the promise."""


class TestEveryStrategy(StrategyContract):
    @pytest.fixture(params=sorted(strategies()), autouse=True)
    def _name(self, request: pytest.FixtureRequest) -> None:
        if request.param in EXEMPT.get(request.function.__name__, ()):
            pytest.skip(f"{request.param} does not promise it")
        self.recipe = make_strategy(QUICK.get(request.param, request.param))


@pytest.mark.parametrize(
    ("promise", "name"), [(promise, name) for promise in EXEMPT for name in sorted(EXEMPT[promise])]
)
def test_who_is_exempt_does_break_the_promise(promise: str, name: str) -> None:
    contract = StrategyContract()
    contract.recipe = make_strategy(name)
    with pytest.raises(AssertionError):
        getattr(contract, promise)()
