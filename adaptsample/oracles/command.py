"""Any executable as an oracle.

The program reads one JSON line on its standard input,

    {"x": [0.25, 1.5], "names": ["x", "y"], "seed": 0}

and its answer is the last line that it prints, ``{"y": 1.75}``. One that takes arguments instead
gets them where the command has a variable's name in braces, and one that writes a file is run in a
fresh, empty folder of its own, so that no older file can be taken for its answer. There is no shell
in between. Whatever goes wrong is an error with a reason, for the caller to count as a failed
evaluation.
"""

import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points, Values
from adaptsample.core.text import check_file_name, printable
from adaptsample.errors import CommandError, OutputError
from adaptsample.oracles._process import KEPT_BYTES, Finished, run

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SHOWN = 1000  # characters of what a program wrote, in a message
_COMMA = "numbers need a decimal point, not a comma"


def request_line(x: Sequence[float], names: Sequence[str], seed: int) -> dict[str, Any]:
    """Return what a program is asked, before it is written as a JSON line."""
    return {"x": list(x), "names": list(names), "seed": seed}


@final
@dataclass(frozen=True, init=False)
class CommandOracle:
    """An oracle that runs a program for each point.

    The answer is a JSON object with ``"y"``, a number or a list of ``n_outputs`` numbers, or simply
    these numbers, separated by blanks; ``{"error": ...}`` says why there is none. It is the last
    line on standard output, or the whole of ``output_file``. Only the last MiB that a program
    prints is kept.

    Args:
        command: the program and its arguments, as a list, or as one text that is split like a
            shell would split it, and never given to one. ``{x}`` in an argument is replaced by the
            value of the variable ``x``, ``{seed}`` by the seed.
        domain: the points that may be asked.
        n_outputs: number of outputs, k.
        output_file: the file that the program writes its answer to, below its working folder.
            Each call then has a working folder of its own, and arguments that name a file of the
            present one are given with their full path.
        with_gradient: the program can answer ``"gradient"`` as well, d y_k / d x_d as k lists of d
            numbers, or one list if there is one output. It is asked for by ``"gradient": true``.
        seed: handed to the program, which should draw all its random numbers from it.
        timeout: seconds that a call may take; None for no limit. Then everything that it started
            is ended.

    Raises:
        ValueError: a command that cannot be read or found, or with an unknown name in braces.
        CommandError: when called, the program ended with an error.
        OutputError: when called, it answered something else than the numbers expected.
        TimeoutError: when called, it took too long.
    """

    command: tuple[str, ...]
    domain: Box
    n_outputs: int
    output_file: str | None
    with_gradient: bool
    seed: int
    timeout: float | None = field(compare=False)  # a run may be continued with another
    gradient: Callable[[Points], Float[Tensor, "n k d"]] | None = field(compare=False, repr=False)
    _folder: Path = field(compare=False, repr=False)

    def __init__(
        self,
        command: str | Sequence[str],
        domain: Box,
        *,
        n_outputs: int = 1,
        output_file: str | None = None,
        with_gradient: bool = False,
        seed: int = 0,
        timeout: float | None = None,
    ) -> None:
        if not isinstance(domain, Box):
            raise ValueError(f"domain must be a Box, as in Box({{'x': (0, 1)}}); got {domain!r}")
        if n_outputs < 1:
            raise ValueError(f"n_outputs must be at least 1, got {n_outputs!r}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be a positive number of seconds, got {timeout!r}")
        if output_file is not None:
            check_file_name(output_file)
        values = {
            "command": _checked_command(command, domain),
            "domain": domain,
            "n_outputs": n_outputs,
            "output_file": output_file,
            "with_gradient": with_gradient,
            "seed": seed,
            "timeout": timeout,
            "_folder": Path.cwd(),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        # None is how a runtime-checkable protocol knows that a method is missing
        object.__setattr__(self, "gradient", _Gradient(self) if with_gradient else None)

    def __call__(self, x: Points) -> Values:
        """Run the program at each of n points, one after the other."""
        return torch.stack([self._ask(point, gradient=False)[0] for point in x])

    def value_and_gradient(self, x: Points) -> tuple[Values, Float[Tensor, "n k d"]]:
        """Return both from one run of the program at each point."""
        values, gradients = zip(*(self._ask(point, gradient=True) for point in x), strict=True)
        return torch.stack(values), torch.stack(gradients)

    def _ask(self, point: Float[Tensor, " d"], *, gradient: bool) -> tuple[Tensor, Any]:
        x = point.tolist()
        names, d = self.domain.names, self.domain.dimension
        request: dict[str, Any] = request_line(x, names, self.seed)
        if gradient:
            request["gradient"] = True
        known = {"seed": str(self.seed), **dict(zip(names, map(repr, x), strict=True))}
        answer = _parse(self._run((json.dumps(request) + "\n").encode(), known))
        if answer.get("error") is not None:
            raise CommandError(_shown(str(answer["error"])))
        y = _numbers(answer.get("y"), "y", (self.n_outputs,))
        if not gradient:
            return y, None
        return y, _numbers(answer.get("gradient"), "gradient", (self.n_outputs, d))

    def _run(self, request: bytes, known: dict[str, str]) -> bytes:
        """Return the answer as the program wrote it."""
        arguments = [_filled(argument, known) for argument in self.command]
        if self.output_file is None:
            ended = run(arguments, stdin=request, folder=self._folder, timeout=self.timeout)
            self._check_status(ended)
            return _last_line(ended)
        arguments = [_located(argument, self._folder) for argument in arguments]
        with TemporaryDirectory(prefix="adaptsample-", ignore_cleanup_errors=True) as folder:
            ended = run(arguments, stdin=request, folder=Path(folder), timeout=self.timeout)
            self._check_status(ended)
            return _read(Path(folder, self.output_file), ended)

    def _check_status(self, ended: Finished) -> None:
        if ended.status == 0:
            return
        how = f"ended with exit status {ended.status}"
        if ended.status < 0:
            how = f"was ended by a signal: {signal.strsignal(-ended.status)}"
        raise CommandError(f"{_shown(shlex.join(self.command))} {how}; {_stderr(ended)}")


@final
@dataclass(frozen=True, eq=False)
class _Gradient:
    oracle: CommandOracle

    def __call__(self, x: Points) -> Float[Tensor, "n k d"]:
        return self.oracle.value_and_gradient(x)[1]


def _checked_command(command: str | Sequence[str], domain: Box) -> tuple[str, ...]:
    try:
        parts = tuple(shlex.split(command) if isinstance(command, str) else command)
    except ValueError as error:
        raise ValueError(f"the command {command!r} cannot be split: {error}") from None
    if not parts or not all(isinstance(part, str) and "\0" not in part for part in parts):
        raise ValueError(f"{command!r} is no command; write e.g. 'python simulate.py'")
    if shutil.which(parts[0]) is None:
        raise ValueError(f"there is no executable {parts[0]!r}; is it installed and on the PATH?")
    for name in (name for part in parts for name in _PLACEHOLDER.findall(part)):
        if name.isidentifier() and name not in (*domain.names, "seed"):
            raise ValueError(
                f"{{{name}}} in the command is no variable; there are "
                f"{', '.join(f'{{{known}}}' for known in (*domain.names, 'seed'))}"
            )
    return parts


def _filled(argument: str, known: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), argument)


def _located(argument: str, folder: Path) -> str:
    """Return an argument that names a file of this folder so that it is found from any other."""
    looks_like_a_file = os.sep in argument or (Path(argument).suffix and not _is_number(argument))
    path = folder / argument
    return str(path) if looks_like_a_file and path.is_file() else argument


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _last_line(ended: Finished) -> bytes:
    _, newline, line = ended.stdout.rstrip().rpartition(b"\n")
    if not line:
        raise OutputError(
            f'it printed no answer; its last line must be one, as in {{"y": 1.5}}; {_stderr(ended)}'
        )
    if not newline and len(ended.stdout) == KEPT_BYTES:
        raise OutputError("the last line that it printed is longer than 1 MiB")
    return line


def _read(path: Path, ended: Finished) -> bytes:
    if not path.is_file():  # a pipe or a device would be read for ever
        raise OutputError(f"it wrote no file {path.name!r}; {_stderr(ended)}")
    with path.open("rb") as file:
        content = file.read(KEPT_BYTES + 1)
    if len(content) > KEPT_BYTES:
        raise OutputError(f"the file {path.name!r} that it wrote is longer than 1 MiB")
    return content


def _parse(content: bytes) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise OutputError(f"its answer is not UTF-8: {content[:_SHOWN]!r}") from None
    if not text.startswith("{"):
        return {"y": _plain(text)}
    try:
        answer: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OutputError(
            f"its answer is no JSON object ({error}; {_COMMA}): {_shown(text)}"
        ) from None
    return answer


def _plain(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        raise OutputError(
            f'its answer is neither {{"y": ...}} nor plain numbers ({_COMMA}): {_shown(text)}'
        ) from None


def _numbers(value: object, name: str, shape: tuple[int, ...]) -> Tensor:
    """Return numbers of a shape; with one output, its dimension may be left out."""
    shapes = [shape, shape[1:]] if shape[0] == 1 else [shape]
    try:
        numbers = torch.tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        what = "missing" if value is None else f"{_shown(json.dumps(value))}"
        raise OutputError(f"{name} is {what}, expected numbers of shape {shape}") from None
    if tuple(numbers.shape) not in shapes:
        raise OutputError(
            f"{name} has shape {tuple(numbers.shape)}, expected {' or '.join(map(str, shapes))}"
        )
    return numbers.reshape(shape)


def _stderr(ended: Finished) -> str:
    text = ended.stderr[-_SHOWN:].decode(errors="replace").strip()
    return f"the end of its stderr: {_shown(text)}" if text else "its stderr is empty"


def _shown(text: str) -> str:
    return printable(text, _SHOWN)
