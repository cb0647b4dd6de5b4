"""Every registered surrogate keeps the contract; a new file in surrogates/ is tested unasked."""

import pytest
import torch

from adaptsample import Dataset
from adaptsample.registry import make_surrogate, surrogates
from adaptsample.surrogates import SupportsStd
from adaptsample.testing import SurrogateContract
from adaptsample.testing.contract import check_made_again, check_recipe
from adaptsample.testing.surrogates import sample_data
from tests.conftest import SMALL_AUTO

# The same classes with less work than their defaults; whatever is not here is tested as it is.
QUICK = {
    "mlp": "mlp(training=levenberg_marquardt(starts=2, iterations=60, continued_iterations=30))",
    "committee": "committee(n_members=3, surrogate=mlp(hidden=(8, 8), "
    "training=levenberg_marquardt(starts=1, iterations=60, continued_iterations=30)))",
    "auto": "auto(transforms=('identity',))",
    "crease": "crease(n_starts=20)",
    "jump": "jump(operations=0)",
    "formula": "formula('a*x + b', ('x',), ('a', 'b'))",
}


class TestEverySurrogate(SurrogateContract):
    # held below, for recipes that can be typed
    test_a_recipe_is_made_again_from_its_text_and_from_its_description = None

    @pytest.fixture(params=sorted(set(surrogates()) - {"formula"}), autouse=True)
    def _name(self, request: pytest.FixtureRequest) -> None:
        name = request.param
        self.recipe = SMALL_AUTO if name == "auto" else make_surrogate(QUICK.get(name, name))

    def test_predictions_and_deviations_are_in_the_units_of_the_data(self) -> None:
        """In other units by powers of two: scaled values are the same to the bit, and so fits."""
        data, x = sample_data(2, k=2), sample_data(2, n=40).x
        factors = torch.tensor([2.0**10, 2.0**-3], dtype=torch.float64)
        model, other = self.fit(data), self.fit(Dataset(data.x, data.y * factors))
        torch.testing.assert_close(other.predict(x), model.predict(x) * factors)
        if isinstance(model, SupportsStd):
            assert float(model.std(x).max()) > 0
            torch.testing.assert_close(other.std(x), model.std(x) * factors, rtol=1e-7, atol=0)


class TestFormula(SurrogateContract):
    """A formula names its variables, so it fits data of one shape only."""

    shapes = ((1, 1),)

    @pytest.fixture(
        params=[
            QUICK["formula"],
            "formula('a*exp(-k*x) + c', ('x',), ('a', 'k', 'c'), n_starts=1)",
        ],
        autouse=True,
    )
    def _text(self, request: pytest.FixtureRequest) -> None:
        self.recipe = make_surrogate(request.param)


@pytest.mark.parametrize("name", sorted(surrogates()))
def test_recipes_are_plain_values_and_read_back_from_their_text(name: str) -> None:
    recipe = make_surrogate(QUICK.get(name, name))
    check_recipe(recipe)
    check_made_again(recipe, make_surrogate, surrogates())
