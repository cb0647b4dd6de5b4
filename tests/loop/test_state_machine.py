"""Ask, tell, fail, crash, cut and reopen in any order: the run file always knows what was told."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adaptsample import Box, Sampler
from adaptsample.record.run_file import read
from benchmarks.reliability.referee import Plane

BOX = Box({"x": (0, 1), "y": (0, 1)})


class AskTell(RuleBasedStateMachine):
    """The model is a list of what was told, and the set of points that were asked."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "run.jsonl"
        self.told: list[tuple[tuple[float, ...], float | None]] = []
        self.pending: list[tuple[float, ...]] = []

    def _open(self) -> Sampler:
        arguments: Any = {"surrogate": Plane(), "strategy": "topk(n_candidates=20)", "n_initial": 3}
        return Sampler(BOX, run_file=self.path, existing="resume", **arguments)

    @initialize()
    def start(self) -> None:
        self.sampler = self._open()

    @precondition(lambda self: len(self.told) < 3 or any(y is not None for _, y in self.told))
    @rule(n=st.integers(1, 3))
    def ask(self, n: int) -> None:
        x = self.sampler.ask(n)
        assert bool(BOX.contains(x).all())
        self.pending += map(tuple, x.tolist())

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), y=st.sampled_from([1.0, -2.5, 1e300, float("nan"), float("inf")]))
    def tell(self, data: st.DataObject, y: float) -> None:
        point = data.draw(st.sampled_from(self.pending))
        self.pending.remove(point)
        self.sampler.tell([list(point)], [y])
        self.told.append((point, y if abs(y) <= 1e300 else None))

    @rule(x=st.floats(0, 1), y=st.floats(-1, 1))
    def tell_unasked(self, x: float, y: float) -> None:
        self.sampler.tell([[x, 0.5]], [y])
        self.told.append(((x, 0.5), y))
        if (x, 0.5) in self.pending:
            self.pending.remove((x, 0.5))

    @rule()
    def crash(self) -> None:
        self.sampler.close()  # what the operating system does at a kill
        self.sampler = self._open()

    @rule(torn=st.binary(min_size=1, max_size=30).filter(lambda b: b"\n" not in b))
    def crash_while_writing(self, torn: bytes) -> None:
        self.sampler.close()
        with self.path.open("ab") as file:
            file.write(torn)
        self.sampler = self._open()

    @rule(cut=st.integers(0, 2000))
    def lose_the_checkpoint(self, cut: int) -> None:
        self.sampler.close()
        model = self.path.with_suffix(".model.safetensors")
        if model.exists():
            model.write_bytes(model.read_bytes()[:cut])
        self.sampler = self._open()

    @invariant()
    def everything_told_is_on_file_and_known(self) -> None:
        recorded = read(self.path)
        found = [
            (tuple(e["x"]), None if e["y"] is None else e["y"][0]) for e in recorded.evaluations
        ]
        assert sorted(map(repr, found)) == sorted(map(repr, self.told))
        assert not recorded.damaged
        assert self.sampler.n_evaluations == len(self.told)
        ok = {x for x, y in self.told if y is not None}
        assert {tuple(x) for x in self.sampler.data.x.tolist()} == ok
        assert {tuple(x) for x in self.sampler.pending.tolist()} == {*self.pending}

    def teardown(self) -> None:
        self.sampler.close()
        shutil.rmtree(self.folder)


TestAskTell = AskTell.TestCase
TestAskTell.settings = settings(
    max_examples=20, stateful_step_count=12, deadline=None, derandomize=True
)
