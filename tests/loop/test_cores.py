"""A run on any number of cores is the same run."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
import torch
from adaptsample import Box, Sampler
from adaptsample.core.threads import cores
from adaptsample.oracles import FunctionOracle

def both(x):
    kink = np.abs(x[:, 0] - x[:, 1]) + np.exp(x[:, 0])
    return np.stack([kink, np.sin(9 * x[:, 0] + x[:, 1])], axis=1)

torch.set_num_threads(int(sys.argv[1]))
oracle = FunctionOracle(both, Box({"x": (0, 1), "y": (0, 1)}), n_outputs=2)
with cores(int(sys.argv[1])):
    run = Sampler(oracle, strategy="topk", n_initial=16, batch_size=4, seed=0).run(24)
print([evaluation.x.tolist() for evaluation in run.evaluations])
print([outcome.scores for outcome in run.model.outcomes])
"""


def test_any_number_of_cores_gives_the_same_run():
    one, three = (
        subprocess.run(  # noqa: S603  # this interpreter, and the program from above
            [sys.executable, "-W", "error", "-c", PROGRAM, n_cores],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n_cores in ("1", "3")
    )
    assert len(one.splitlines()) == 2
    assert one == three
