"""A user's function is called with a copy, and what it answers is believed only if it fits."""

import math
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from adaptsample.core.domain import Box
from adaptsample.errors import OutputError
from adaptsample.oracles.function import FunctionOracle
from adaptsample.oracles.protocol import Differentiable, Oracle, Stochastic, SupportsExact

PLANE = Box({"x": (0, 1), "y": (-1, 1)})
POINTS = torch.tensor([[0.1, -0.5], [0.2, 0.25], [0.9, 1.0]], dtype=torch.float64)
EXPECTED = torch.tensor([[-0.4], [0.45], [1.9]], dtype=torch.float64)


def through_a_pickle(oracle):
    return pickle.loads(pickle.dumps(oracle))  # noqa: S301  # bytes of our own


def add(x):
    return x[:, 0] + x[:, 1]


def add_gradient(x):
    return np.ones_like(x)


@pytest.mark.parametrize(
    "function",
    [
        add,
        lambda x: add(x)[:, None],
        lambda x: add(x).tolist(),
        lambda x: tuple(float(v) for v in add(x)),
        lambda x: [[v] for v in add(x)],
        lambda x: add(x).astype(">f8"),
        lambda x: np.concatenate([add(x), add(x)])[::2][[0, 2, 1]],
        lambda x: add(x)[::-1].copy()[::-1],
        lambda x: np.asfortranarray(add(x)[:, None]),
        lambda x: torch.from_numpy(x).sum(dim=1),
        lambda x: torch.from_numpy(x).sum(dim=1).requires_grad_(),
        lambda x: torch.from_numpy(-1j * add(x)).conj().imag,
    ],
)
def test_any_kind_of_numbers_in_a_fitting_shape_is_understood(function):
    y = FunctionOracle(function, PLANE)(POINTS)
    assert y.dtype == torch.float64
    assert not y.requires_grad
    torch.testing.assert_close(y, EXPECTED, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array([1, 2, 3], dtype=np.int8), [1.0, 2.0, 3.0]),
        (np.array([1, 2, 2**64 - 1], dtype=np.uint64), [1.0, 2.0, 2.0**64]),
        (np.array([True, False, True]), [1.0, 0.0, 1.0]),
        ([True, False, True], [1.0, 0.0, 1.0]),
        (torch.tensor([True, False, True]), [1.0, 0.0, 1.0]),
        (np.array([0.1, 0.2, 0.3], dtype=np.float32), np.float32([0.1, 0.2, 0.3]).tolist()),
        (torch.tensor([0.5, 0.25, 1.0], dtype=torch.float16), [0.5, 0.25, 1.0]),
        (torch.tensor([1, 2, 3]), [1.0, 2.0, 3.0]),
    ],
)
def test_booleans_integers_and_short_floats_become_float64(answer, expected):
    y = FunctionOracle(lambda _: answer, PLANE)(POINTS)
    assert y.dtype == torch.float64
    assert y[:, 0].tolist() == expected


def test_nan_and_infinity_pass_through():
    y = FunctionOracle(lambda _: [math.nan, math.inf, -math.inf], PLANE)(POINTS)
    assert math.isnan(y[0, 0])
    assert y[1:, 0].tolist() == [math.inf, -math.inf]


def test_one_number_answers_one_point():
    oracle = FunctionOracle(lambda x: float(np.squeeze(x.sum())), PLANE)
    assert oracle(POINTS[1:2]).tolist() == [[0.45]]
    with pytest.raises(OutputError, match=r"shape \(\) for 3 points"):
        oracle(POINTS)


def test_several_outputs_are_columns():
    oracle = FunctionOracle(lambda x: np.stack([x[:, 0], x[:, 1]], axis=1), PLANE, n_outputs=2)
    assert torch.equal(oracle(POINTS), POINTS)


class Text:
    def __array__(self, dtype=None, copy=None):
        return np.array(["a", "b", "c"])


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (None, "None"),
        ("abc", "a str"),
        (["a", "b", "c"], "list of str"),
        (Text(), "Text of str"),
        (b"abc", "a bytes"),
        ([b"a", b"b", b"c"], "list of bytes"),
        (1 + 2j, "a complex"),
        (np.array([1j, 2j, 3j]), "ndarray of complex"),
        (torch.tensor([1j, 2j, 3j]), "Tensor of complex"),
        (torch.tensor([1j, 2j, 3j]).conj(), "Tensor of complex"),
        (torch.ones(3, dtype=torch.bfloat16), "Tensor that is no array"),
        (torch.eye(3).to_sparse(), "Tensor that is no array"),
        ([torch.ones((), requires_grad=True)] * 3, "list that is no array"),
        ([1.0, [2.0], 3.0], "list that is no array"),
        ([1.0, None, 3.0], "list of NoneType, float"),
        ([1.0, 2.0, 10**400], "list of float, int"),
        ([10**5000] * 3, "list of int"),
        (10**400, "a int"),
        ([Fraction(1, 2)] * 3, "list of Fraction"),
        ([Decimal("0.5")] * 3, "list of Decimal"),
        ([{}] * 3, "list of dict"),
        ({"y": [1, 2, 3]}, "a dict"),
        ({1, 2, 3}, "a set"),
        ((v for v in [1, 2, 3]), "a generator"),
        (object(), "a object"),
        (len, "a builtin_function_or_method"),
        (np.array(["2020-01-01"] * 3, dtype="datetime64[D]"), "ndarray of date"),
        (np.zeros(3, dtype=[("a", float)]), "ndarray of void"),
        (np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0]), "masked array"),
    ],
)
def test_what_is_not_real_numbers_is_named_and_refused(answer, what):
    def simulate(_):
        return answer

    with pytest.raises(OutputError, match=f"simulate returned .*{what}"):
        FunctionOracle(simulate, PLANE)(POINTS)


@pytest.mark.parametrize(
    "shape", [(), (0,), (2,), (4,), (1, 3), (3, 2), (3, 1, 1), (1, 3, 1), (6,), (2, 3)]
)
def test_another_shape_than_one_row_per_point_is_named_and_refused(shape):
    def simulate(_):
        return np.zeros(shape)

    with pytest.raises(OutputError) as caught:
        FunctionOracle(simulate, PLANE)(POINTS)
    message = str(caught.value)
    assert f"shape {shape} for 3 points" in message
    assert "expected (3, 1) or (3,)" in message


@pytest.mark.parametrize("shape", [(3,), (3, 1), (2, 3), (3, 3), (3, 2, 1)])
def test_several_outputs_need_as_many_columns(shape):
    with pytest.raises(OutputError, match=r"expected \(3, 2\);"):
        FunctionOracle(lambda _: np.zeros(shape), PLANE, n_outputs=2)(POINTS)


def test_an_undeclared_second_output_is_told_how_to_declare_it():
    with pytest.raises(OutputError, match="say n_outputs=2"):
        FunctionOracle(lambda x: x, PLANE)(POINTS)


def test_output_error_is_a_value_error():
    assert issubclass(OutputError, ValueError)


def test_exceptions_of_the_function_pass_through_untouched():
    error = TypeError("of the simulator")

    def fail(_):
        raise error

    with pytest.raises(TypeError) as caught:
        FunctionOracle(fail, PLANE)(POINTS)
    assert caught.value is error


def test_the_function_gets_all_points_as_a_float64_array():
    seen = []

    def record(x):
        seen.append(x)
        return add(x)

    FunctionOracle(record, PLANE)(POINTS.clone().requires_grad_())
    (x,) = seen
    assert type(x) is np.ndarray
    assert x.dtype == np.float64
    assert x.tolist() == POINTS.tolist()


def test_the_function_gets_tensors_where_asked():
    seen = []

    def record(x):
        seen.append(x)
        return x.sum(dim=1)

    oracle = FunctionOracle(record, PLANE, gradient=torch.ones_like, exact=record, tensors=True)
    torch.testing.assert_close(oracle(POINTS), EXPECTED)
    torch.testing.assert_close(oracle.exact(POINTS), EXPECTED)
    assert torch.equal(oracle.gradient(POINTS), torch.ones(3, 1, 2, dtype=torch.float64))
    for x in seen:
        assert isinstance(x, torch.Tensor)
        assert x.dtype == torch.float64
        assert not x.requires_grad


@pytest.mark.parametrize("tensors", [False, True])
def test_a_function_that_overwrites_its_argument_harms_nobody(tensors):
    def overwrite(x):
        y = x.sum(1)
        x[:] = math.nan
        return y

    points = POINTS.clone()
    y = FunctionOracle(overwrite, PLANE, tensors=tensors)(points)
    assert torch.equal(points, POINTS)
    torch.testing.assert_close(y, EXPECTED)


def test_a_function_that_reuses_its_buffer_does_not_change_earlier_answers():
    buffer = np.zeros(3)

    def fill(x):
        buffer[:] = add(x)
        return buffer

    oracle = FunctionOracle(fill, PLANE)
    first = oracle(POINTS)
    oracle(torch.zeros_like(POINTS))
    torch.testing.assert_close(first, EXPECTED)
    first += 1.0
    assert buffer.tolist() == [0.0, 0.0, 0.0]


def test_it_is_differentiable_exactly_when_a_gradient_is_given():
    assert not isinstance(FunctionOracle(add, PLANE), Differentiable)
    assert isinstance(FunctionOracle(add, PLANE, gradient=add_gradient), Differentiable)


def test_it_is_an_oracle_that_supports_exact_and_is_not_stochastic():
    oracle = FunctionOracle(add, PLANE, n_outputs=1)
    assert isinstance(oracle, Oracle)
    assert isinstance(oracle, SupportsExact)
    assert not isinstance(oracle, Stochastic)
    assert oracle.domain == PLANE
    assert oracle.n_outputs == 1


def test_gradient_is_outputs_by_variables():
    oracle = FunctionOracle(
        lambda x: np.stack([x[:, 0] ** 2, x[:, 0] * x[:, 1]], axis=1),
        PLANE,
        n_outputs=2,
        gradient=lambda x: np.stack(
            [np.stack([2 * x[:, 0], 0 * x[:, 1]], axis=1), x[:, ::-1]], axis=1
        ),
    )
    x, y = POINTS.T
    expected = torch.stack(
        [torch.stack([2 * x, torch.zeros(3)], dim=1), torch.stack([y, x], dim=1)], dim=1
    )
    assert torch.equal(oracle.gradient(POINTS), expected)


def test_gradient_of_one_output_may_leave_out_the_axis_of_outputs():
    oracle = FunctionOracle(add, PLANE, gradient=add_gradient)
    assert torch.equal(oracle.gradient(POINTS), torch.ones(3, 1, 2, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (3, 1), (3, 2, 1), (2,), ()])
def test_gradient_of_another_shape_is_refused(shape):
    def slope(_):
        return np.zeros(shape)

    oracle = FunctionOracle(add, PLANE, gradient=slope)
    with pytest.raises(OutputError, match=r"slope returned .* expected \(3, 1, 2\) or \(3, 2\)"):
        oracle.gradient(POINTS)


def test_exact_is_none_unless_given():
    assert FunctionOracle(add, PLANE).exact is None


def test_exact_is_an_oracle_on_the_same_domain():
    oracle = FunctionOracle(lambda x: add(x) + 1.0, PLANE, exact=add)
    assert isinstance(oracle.exact, Oracle)
    assert oracle.exact.domain == PLANE
    torch.testing.assert_close(oracle.exact(POINTS), EXPECTED)
    torch.testing.assert_close(oracle(POINTS), EXPECTED + 1.0)


def test_the_exact_version_is_its_own_exact_version():
    oracle = FunctionOracle(add, PLANE, exact=add)
    assert oracle.exact.exact is oracle.exact
    assert oracle.exact is not oracle
    copy = through_a_pickle(oracle)
    assert copy.exact.exact is copy.exact


def test_pickle_keeps_everything():
    oracle = FunctionOracle(add, PLANE, gradient=add_gradient, exact=add)
    copy = through_a_pickle(oracle)
    assert copy.domain == PLANE
    assert torch.equal(copy(POINTS), oracle(POINTS))
    assert torch.equal(copy.gradient(POINTS), oracle.gradient(POINTS))
    assert torch.equal(copy.exact(POINTS), oracle.exact(POINTS))
    assert isinstance(copy, Differentiable)
    assert not isinstance(through_a_pickle(FunctionOracle(add, PLANE)), Differentiable)


def test_repr_names_function_and_domain():
    oracle = FunctionOracle(add, PLANE)
    assert repr(oracle) == "FunctionOracle(add, Box({'x': (0.0, 1.0), 'y': (-1.0, 1.0)}))"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": 3.0}, "functions to call, got 3.0"),
        ({"gradient": "add"}, "functions to call, got 'add'"),
        ({"exact": [1, 2]}, r"functions to call, got \[1, 2\]"),
        ({"n_outputs": 0}, "at least 1, got 0"),
        ({"domain": {"x": (0, 1)}}, r"must be a Box.*got \{'x': \(0, 1\)\}"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FunctionOracle(**{"function": add, "domain": PLANE, **arguments})
