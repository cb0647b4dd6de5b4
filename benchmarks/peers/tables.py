"""What runs beside peers come to: who wins where, ratios, equal errors, time and memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, isfinite, isnan, log, nan
from statistics import median
from typing import Final, final

from benchmarks.harness.jobs import Cell
from benchmarks.harness.tables import groups, markdown, number

ROUNDING: Final = 1e-10
"""NRMSE below which two count as equal: who is more exact there, nobody needs to know."""

Curve = Sequence[tuple[int, float]]


@final
@dataclass(frozen=True)
class Measured:
    """One approximation of one function with one seed.

    Args:
        problem: the function.
        name: whose approximation.
        seed: of the run.
        is_ours: whether it is one of ours.
        errors: NRMSE by number of evaluations.
        seconds: CPU seconds until then, by number of evaluations.
        memory: peak of the process at the end, in MB.
    """

    problem: str
    name: str
    seed: int
    is_ours: bool
    errors: dict[int, float]
    seconds: dict[int, float]
    memory: float


@final
@dataclass(frozen=True)
class Field:
    """All that was measured.

    Args:
        measured: every approximation.
        kinds: functions by kind.
        fixed: the one of ours that is held against all peers, wherever one has to be named before.
    """

    measured: Sequence[Measured]
    kinds: dict[str, Sequence[str]]
    fixed: str

    @classmethod
    def of(
        cls,
        cells: Iterable[Cell],
        kinds: dict[str, Sequence[str]],
        *,
        fixed: str,
        is_ours: Callable[[str], bool],
    ) -> "Field":
        """Read cells that did not fail."""
        found = []
        for cell in cells:
            for name, curve in cell.get("curves", {}).items():
                errors = {n: max(error, ROUNDING) for n, error, _ in curve}
                seconds = {n: cpu for n, _, cpu in curve}
                one = (cell["problem"], name, cell["seed"], is_ours(cell["method"]))
                found.append(Measured(*one, errors, seconds, cell["memory"]))
        present = {m.problem for m in found}
        kept = {kind: [p for p in problems if p in present] for kind, problems in kinds.items()}
        return cls(found, {kind: problems for kind, problems in kept.items() if problems}, fixed)

    @property
    def problems(self) -> list[str]:
        """All functions, a kind at a time."""
        return [problem for problems in self.kinds.values() for problem in problems]

    @property
    def names(self) -> list[str]:
        """All approximations, ours first."""
        ordered = sorted(self.measured, key=lambda m: (not m.is_ours, m.name))
        return list(dict.fromkeys(m.name for m in ordered))

    def of_ours(self) -> list[str]:
        """Return the names of our approximations."""
        return [name for name in self.names if any(m.is_ours for m in self._named(name))]

    def error(self, problem: str, name: str, n: int) -> float:
        """Return the median error over seeds with n evaluations, NaN if there is none."""
        some = [m.errors[n] for m in self._named(name) if m.problem == problem and n in m.errors]
        return median(some) if some else nan

    def best(self, problem: str, n: int, *, ours: bool) -> tuple[str, float]:
        """Return who of us, or of the peers, has the least error, and that error."""
        mine = self.of_ours()
        names = [name for name in self.names if (name in mine) == ours]
        errors = {name: self.error(problem, name, n) for name in names}
        known = {name: error for name, error in errors.items() if not isnan(error)}
        name = min(known, key=known.__getitem__, default="-")
        return name, known.get(name, nan)

    def ratio(self, problem: str, n: int, name: str | None = None) -> float:
        """Return our error by the best peer's; ours is the best of ours if no name is given."""
        mine = self.best(problem, n, ours=True)[1] if name is None else self.error(problem, name, n)
        return mine / self.best(problem, n, ours=False)[1]

    def mean_ratio(self, problems: Iterable[str], n: int, name: str | None = None) -> float:
        """Return the geometric mean of the ratios, over those functions that have one."""
        ratios = [self.ratio(problem, n, name) for problem in problems]
        logs = [log(ratio) for ratio in ratios if not isnan(ratio)]
        return exp(sum(logs) / len(logs)) if logs else nan

    def evaluations_to(self, level: float, problem: str, name: str) -> float:
        """Return the evaluations that a median curve takes to a level; infinite if it does not.

        Between sizes the error falls log-linearly. At the first size it counts as that size.
        """
        sizes = sorted({n for m in self._named(name) if m.problem == problem for n in m.errors})
        curve = [(n, self.error(problem, name, n)) for n in sizes]
        if curve and curve[0][1] <= level:
            return curve[0][0]
        for (n0, e0), (n1, e1) in pairwise(curve):
            if e1 <= level:
                return n0 + (n1 - n0) * log(e0 / level) / log(e0 / e1)
        return inf

    def _named(self, name: str) -> list[Measured]:
        return [m for m in self.measured if m.name == name]


def told(value: float) -> str:
    """Return a number, or a dash if there is none."""
    return "-" if isnan(value) else number(value)


def peer_wins(field: Field, sizes: Sequence[int]) -> str:
    """Name every place where a peer has a smaller error than the one of ours that was fixed."""
    lines = []
    for n in sizes:
        for problem in field.problems:
            ratio = field.ratio(problem, n, field.fixed)
            if ratio > 1:
                peer, error = field.best(problem, n, ours=False)
                own, least = field.best(problem, n, ours=True)
                rest = f"; with `{own}` we have {told(least)}" if own != field.fixed else ""
                lines.append(
                    f"- {problem} at {n}: {peer} has {told(error)}, we have "
                    f"{told(field.error(problem, field.fixed, n))} ({told(ratio)} times){rest}\n"
                )
    return "".join(lines) or "- nowhere\n"


def ratio_table(field: Field, sizes: Sequence[int]) -> str:
    """Return geometric means by kind and size, for each of ours and for the best of them.

    A mean over fewer functions than the row has says of how many: it is of others than its
    neighbours.
    """
    rows = []
    for kind, problems in field.kinds.items():
        for n in sizes:
            all_of_them = _count(field, problems, n)
            found = []
            for name in field.of_ours():
                counted = _count(field, problems, n, name)
                mean = told(field.mean_ratio(problems, n, name))
                found.append(f"{mean} (of {counted})" if 0 < counted < all_of_them else mean)
            if all_of_them:
                best = told(field.mean_ratio(problems, n))
                rows.append([f"{kind} ({all_of_them})", str(n), *found, best])
    return markdown(["functions", "N", *field.of_ours(), "the best of ours"], rows)


def fixed_table(field: Field, sizes: Sequence[int]) -> str:
    """Return what the one of ours that was fixed comes to, by kind and size.

    A mean may be carried by few functions, so the median stands beside it, how often it is better
    and worse, and the mean without those functions that both know to rounding.
    """
    rows = []
    for kind, problems in field.kinds.items():
        for n in sizes:
            ratios = {p: field.ratio(p, n, field.fixed) for p in problems}
            known = {p: ratio for p, ratio in ratios.items() if not isnan(ratio)}
            if known:
                equal = [p for p in known if _are_rounding(field, p, n)]
                better = sum(known[p] < 1 for p in known if p not in equal)
                counts = f"{better} / {len(equal)} / {len(known) - better - len(equal)}"
                rest = field.mean_ratio([p for p in known if p not in equal], n, field.fixed)
                mean = field.mean_ratio(known, n, field.fixed)
                numbers = [told(value) for value in (mean, median(known.values()), rest)]
                rows.append([f"{kind} ({len(known)})", str(n), *numbers, counts])
    heading = ["functions", "N", "geometric mean", "median", "mean without equal ones"]
    return markdown([*heading, "better / equal / worse"], rows)


def _are_rounding(field: Field, problem: str, n: int) -> bool:
    own, best = field.error(problem, field.fixed, n), field.best(problem, n, ours=False)[1]
    return own <= ROUNDING and best <= ROUNDING


def _count(field: Field, problems: Iterable[str], n: int, name: str | None = None) -> int:
    return sum(not isnan(field.ratio(problem, n, name)) for problem in problems)


def duel_rows(field: Field, sizes: Sequence[int]) -> str:
    """Return our errors and the best peer's on each function."""
    rows = []
    for problem in field.problems:
        for n in sizes:
            peer, error = field.best(problem, n, ours=False)
            own = [field.error(problem, name, n) for name in field.of_ours()]
            if peer == "-" and all(map(isnan, own)):
                continue
            ratio = told(field.ratio(problem, n, field.fixed))
            rows.append([problem, str(n), *map(told, own), peer, told(error), ratio])
    return markdown(
        ["function", "N", *field.of_ours(), "best peer", "its error", f"{field.fixed} / best peer"],
        rows,
    )


def equal_errors(field: Field, sizes: Sequence[int]) -> str:
    """Return how many evaluations the best peer with N needs for its error, and how many we.

    Errors that are rounding are left out.
    """
    rows = []
    for problem in field.problems:
        for n in sizes:
            peer, level = field.best(problem, n, ours=False)
            if field.of_ours() and peer != "-" and level > ROUNDING:
                theirs = field.evaluations_to(level, problem, peer)
                needs = [field.evaluations_to(level, problem, name) for name in field.of_ours()]
                share = min(needs) / theirs
                told_needs = [f"{need:.0f}" if isfinite(need) else "more" for need in needs]
                told_share = f"{share:.2f}" if isfinite(share) else ">1"
                own = [told(level), peer, f"{theirs:.0f}"]
                rows.append([problem, *own, *told_needs, told_share])
    return markdown(
        ["function", "error", "best peer", "it needs", *field.of_ours(), "our least / its"], rows
    )


def seeds_told(cells: Iterable[Cell]) -> str:
    """Say of how many seeds medians are."""
    counts: dict[str, list[str]] = {}
    for (method,), some in groups(cells, "method").items():
        found = sorted({len(runs) for runs in groups(some, "problem").values()})
        counts.setdefault(" to ".join(map(str, dict.fromkeys((found[0], found[-1])))), []).append(
            method
        )
    return "; ".join(f"{n} for {', '.join(methods)}" for n, methods in counts.items())


def costs(field: Field, n: int) -> str:
    """Return CPU seconds and peak memory of each approximation, medians over functions."""
    rows = []
    for name in field.names:
        some = [m for m in field.measured if m.name == name and n in m.seconds]
        if some:
            seconds = [m.seconds[n] for m in some]
            memory = median(m.memory for m in some)
            counted = str(len({m.problem for m in some}))
            rows.append([name, counted, told(median(seconds)), told(max(seconds)), f"{memory:.0f}"])
    return markdown(["", "functions", f"CPU s to {n}", "at most", "peak MB"], rows)


def all_errors(field: Field, sizes: Sequence[int]) -> str:
    """Return every median error, a table for each size."""
    parts = []
    for n in sizes:
        present = [p for p in field.problems if field.best(p, n, ours=False)[0] != "-"]
        rows = [[name, *(told(field.error(p, name, n)) for p in present)] for name in field.names]
        rows = [row for row in rows if set(row[1:]) != {"-"}]
        if present and rows:
            parts.append(f"With {n} evaluations:\n\n{markdown(['', *present], rows)}")
    return "\n".join(parts)


def missing(cells: Iterable[Cell]) -> str:
    """Say what has no result, or not all, and why."""
    rows = []
    for (method, why), some in groups(
        ({**c, "why": c.get("failure") or c.get("stopped")} for c in cells), "method", "why"
    ).items():
        if why:
            where = ", ".join(dict.fromkeys(cell["problem"] for cell in some))
            rows.append([method, where, why.splitlines()[0]])
    return markdown(["", "on", "why"], rows) if rows else "Nothing.\n"
