"""The contracts that anyone's strategy, surrogate or oracle can be held to, in three lines.

For a surrogate of yours, in a file of your own tests::

    from adaptsample.testing import SurrogateContract

    class TestMine(SurrogateContract):
        recipe = Mine()

pytest finds the inherited tests, whose names are the promises. The same classes hold all that comes
with this library. A test that does not apply is skipped and says why; a promise that yours does not
make is taken out by name, in the class: ``test_a_batch_does_not_crowd = None``.
"""

from adaptsample.testing.oracles import OracleContract as OracleContract
from adaptsample.testing.strategies import StrategyContract as StrategyContract
from adaptsample.testing.surrogates import SurrogateContract as SurrogateContract
