import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from adaptsample.core import Box, Dataset, derive_generator
from adaptsample.registry import make_surrogate
from adaptsample.training.torchscript import script

RECIPES = (
    "mlp((3,), training=levenberg_marquardt(starts=1, iterations=5))",
    "mlp((3,), training=gradient_descent(steps=20))",
    "crease(n_starts=2, n_climbs=0)",
)


def predictions() -> dict[str, Tensor]:
    box = Box({"x": (0, 1), "y": (-2, 3)})
    x = box.sobol(30, generator=derive_generator(0, "points"))
    data = Dataset(x, (3 * x).sin().prod(dim=1, keepdim=True))
    models = {
        text: make_surrogate(text).fit(data, generator=derive_generator(0, "fit"))
        for text in RECIPES
    }
    return {text: model.predict(x) for text, model in models.items()}


WHERE_NOTHING_COMPILES = """
import sys, warnings
import torch
from safetensors.torch import save_file
from adaptsample.training import torchscript
from tests.training.test_torchscript import predictions

torch.set_num_threads(1)
torchscript.CAN_COMPILE = False
torch.jit.script = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    save_file(predictions(), sys.argv[1])
(warning,) = [w for w in caught if issubclass(w.category, RuntimeWarning)]
print(warning.message)
"""


def test_where_torchscript_cannot_compile_the_same_is_computed_with_one_warning(
    tmp_path: Path,
) -> None:
    file = tmp_path / "predictions.safetensors"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", WHERE_NOTHING_COMPILES, str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.startswith("TorchScript compiles nothing on Python 3.14"), done.stderr
    uncompiled, compiled = load_file(file), predictions()
    for text in RECIPES:
        assert torch.allclose(uncompiled[text], compiled[text], rtol=1e-6, atol=1e-8), text


def test_this_python_compiles() -> None:
    assert (script(count_down) is count_down) is (sys.version_info >= (3, 14))


def count_down(x: Tensor, n: int) -> Tensor:
    while n > 0:
        x = x - 1
        n -= 1
    return x


def test_a_compiled_function_computes_the_same() -> None:
    x = torch.arange(3.0)
    assert torch.equal(script(count_down)(x, 2), count_down(x, 2))


def test_a_function_is_compiled_once() -> None:
    assert script(count_down) is script(count_down)
