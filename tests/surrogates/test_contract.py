"""Every registered surrogate keeps the contract; a new file in surrogates/ is tested unasked."""

import pytest

from adaptsample.registry import make_surrogate, surrogates
from adaptsample.testing import SurrogateContract
from adaptsample.testing.contract import check_made_again, check_recipe
from tests.conftest import SMALL_AUTO

# The same classes with less work than their defaults; whatever is not here is tested as it is.
QUICK = {
    "mlp": "mlp(training=levenberg_marquardt(starts=2, iterations=60, continued_iterations=30))",
    "committee": "committee(n_members=3, surrogate=mlp(hidden=(8, 8), "
    "training=levenberg_marquardt(starts=1, iterations=60, continued_iterations=30)))",
    "auto": "auto(transforms=('identity',))",
    "crease": "crease(n_starts=20)",
    "jump": "jump(seconds=0)",
    "formula": "formula('a*x + b', ('x',), ('a', 'b'))",
}


class TestEverySurrogate(SurrogateContract):
    # held below, for recipes that can be typed
    test_a_recipe_is_made_again_from_its_text_and_from_its_description = None

    @pytest.fixture(params=sorted(set(surrogates()) - {"formula"}), autouse=True)
    def _name(self, request: pytest.FixtureRequest) -> None:
        name = request.param
        self.recipe = SMALL_AUTO if name == "auto" else make_surrogate(QUICK.get(name, name))


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
