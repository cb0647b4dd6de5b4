"""What a run file survives: torn, flipped, refused by the disk, wanted by two, read meanwhile."""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from adaptsample import Run, Sampler
from adaptsample.core import files
from adaptsample.errors import LedgerError
from adaptsample.record import checkpoint, ledger
from adaptsample.record.ledger import Ledger
from adaptsample.record.run_file import read
from benchmarks.reliability.referee import Job, noted, table


def torn(folder: Path, quick: bool) -> tuple[str, str]:
    """Cut a ledger at every byte, append to it and open it again."""
    job = Job(folder, 12 if quick else 60)
    job.run()
    whole = job.run_file.read_bytes()
    path = folder / "torn.jsonl"
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    n_cuts = 0
    try:
        for cut in range(ends[0], len(whole) + 1):
            path.write_bytes(whole[:cut])
            recorded = read(path)
            lines = [*recorded.proposals, *recorded.evaluations, *recorded.rounds]
            with Ledger.reopen(recorded.path, recorded.size) as writer:
                writer.append([{"kind": "evaluation", "number": -i} for i in range(1, 6)])
            again = read(path)
            complete = sum(end <= cut for end in ends) - 1
            n_ends = int(cut == len(whole))
            assert len(lines) + n_ends == complete
            assert len(again.evaluations) == len(recorded.evaluations) + 5
            assert not again.damaged
            n_cuts += 1
    finally:
        path.unlink()
        path.with_suffix(".lock").unlink()
    return (
        f"a ledger of {len(ends)} lines cut at every byte, then 5 lines appended, then reopened",
        f"{n_cuts} of {n_cuts} cuts: every complete line kept, nothing unreadable",
    )


def flips(folder: Path, quick: bool) -> tuple[str, str]:
    """Flip bytes of a ledger and of a checkpoint."""
    draws = random.Random(0)  # noqa: S311  # no secrets here
    job = Job(folder, 60)
    job.run()
    whole = job.run_file.read_bytes()
    intact = {repr(e) for e in read(job.run_file).evaluations}
    path = folder / "flipped.jsonl"
    n_flips = 100 if quick else 1000
    detected = changed = 0
    for _ in range(n_flips):
        content = bytearray(whole)
        place = draws.randrange(len(content))
        content[place] ^= draws.randrange(1, 256)
        path.write_bytes(bytes(content))
        recorded = read(path)
        line = whole[:place].count(b"\n") + 1
        torn_end = place == len(whole) - 1  # the last newline: a torn tail
        detected += torn_end or line in recorded.damaged
        changed += any(repr(e) not in intact for e in recorded.evaluations)
    model = job.run_file.with_suffix(".model.safetensors")
    content_of_model = model.read_bytes()
    refused = 0
    for _ in range(n_flips // 5):
        content = bytearray(content_of_model)
        content[draws.randrange(len(content))] ^= draws.randrange(1, 256)
        model.write_bytes(bytes(content))
        refused += checkpoint.Checkpoint.read(model, package="benchmarks") is None
    assert (detected, changed, refused) == (n_flips, 0, n_flips // 5)
    return (
        f"{n_flips} single bytes of a ledger flipped, {n_flips // 5} of a checkpoint",
        f"{detected} detected with the line's number, {changed} changed numbers accepted; "
        f"{refused} of {n_flips // 5} checkpoints refused",
    )


def rounds(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill after each observation of a run with a warm-started network, and compare hashes."""
    network = "mlp(hidden=(8,))"
    settings = (("surrogate", network), ("batch_size", 4), ("n_initial", 8))
    budget = 20 if quick else 68
    whole = Job(folder / "whole", budget, settings=settings)
    seen = 0

    def count(_: Sampler) -> None:
        nonlocal seen
        seen += 1

    expected = _hash(whole.run(count))
    equal = without = 0
    moments = range(1, seen + 1, 4 if quick else 1)
    for k in moments:
        for keep_checkpoint in (True, False):
            job = Job(folder / f"{k}-{keep_checkpoint}", budget, settings=settings)
            _killed_at(job, k)
            if not keep_checkpoint:
                job.run_file.with_suffix(".model.safetensors").unlink(missing_ok=True)
            same = _hash(job.run()) == expected
            equal += same and keep_checkpoint
            without += same and not keep_checkpoint
            shutil.rmtree(job.folder)
    assert equal == without == len(moments)
    return (
        f"{network}, killed at {len(moments)} of {seen} moments (after every evaluation and round)",
        f"{equal} of {len(moments)} resumed runs have the same hash of points, values, errors and "
        f"weights; {without} of {len(moments)} without their checkpoint",
    )


def _hash(run: Run) -> tuple[Any, ...]:
    tensors: dict[str, torch.Tensor] = {}
    tree = checkpoint._flattened(run.model, tensors)
    points = [(e.x.tolist(), None if e.y is None else e.y.tolist()) for e in run.evaluations]
    return checkpoint._hash(str(tree), tensors), str(points), str([r.errors for r in run.rounds])


def _killed_at(job: Job, k: int) -> None:
    if (child := os.fork()) == 0:
        seen = 0

        def kill(_: Sampler) -> None:
            nonlocal seen
            seen += 1
            if seen == k:
                os.kill(os.getpid(), signal.SIGKILL)

        job.run(kill)
        os._exit(0)
    os.waitpid(child, 0)


class _Platter:
    """What a power failure would leave: contents as of their last fsync, names as of the folder's.

    Linux keeps a new or changed name for certain only once the folder is fsynced.
    """

    def __init__(self) -> None:
        self.files: dict[Path, bytes] = {}
        self._nameless: dict[int, bytes] = {}  # by inode, in folders not fsynced since

    def fsync(self, file: int) -> None:
        """Note what an fsync makes last, and make it."""
        _fsync(file)
        path = Path(f"/proc/self/fd/{file}").readlink()
        if path.is_dir():
            inodes = {p.stat().st_ino: p for p in path.iterdir()}
            for inode in self._nameless.keys() & inodes.keys():
                self.files[inodes[inode]] = self._nameless.pop(inode)
        elif path in self.files:
            self.files[path] = path.read_bytes()
        else:
            self._nameless[path.stat().st_ino] = path.read_bytes()


_fsync = os.fsync


def power(folder: Path, quick: bool) -> tuple[str, str]:
    """Cut the power at every moment: keep only what was fsynced, and resume from that."""
    whole = Job(
        folder / "whole", 12 if quick else 40, settings=(("batch_size", 4),), log_folder=folder
    )
    folder.mkdir()
    expected = table(whole.run_file) if whole.run() else []
    job, platter = replace(whole, folder=folder / "run"), _Platter()
    left: list[tuple[int, bytes]] = []

    def look(sampler: Sampler) -> None:
        left.append((int(sampler.n_evaluations), platter.files[job.run_file]))

    with mock.patch("os.fsync", platter.fsync):
        job.run(look)
    lost = equal = 0
    for i, (acknowledged, content) in enumerate(left):
        after = replace(whole, folder=folder / str(i))
        after.folder.mkdir()
        after.run_file.write_bytes(content)
        before = noted(after.log).total()
        lost += acknowledged - len(read(after.run_file).evaluations)
        after.run()
        equal += table(after.run_file) == expected
        assert noted(after.log).total() - before == whole.budget - acknowledged
    assert lost == 0
    assert equal == len(left)
    return (
        f"the power cut at {len(left)} moments of a run of {whole.budget}: of each file what was "
        "fsynced is left, and its name if the folder was; then resumed",
        f"{lost} acknowledged results lost, {equal} of {len(left)} tables equal to the "
        "uninterrupted one, nothing paid twice",
    )


def disk(folder: Path, quick: bool) -> tuple[str, str]:
    """Let the k-th write, fsync or truncation fail, for every k; and a real small file system."""
    counts: Counter[str] = Counter()
    for function, code in (("write", errno.ENOSPC), ("write", errno.EIO), ("fsync", errno.EIO)):
        for k in range(1, 200, 10 if quick else 1):
            job = Job(folder / f"{function}-{code}-{k}", 30, settings=(("batch_size", 5),))
            state = _faulty(job, function, code, k)
            shutil.rmtree(job.folder)
            if state == "finished":
                break
            counts[f"{os.strerror(code)} in {function}"] += 1
    held = _space_returns(folder / "returns")
    told = "; ".join(f"{name}: {n} moments" for name, n in counts.items())
    return (
        f"a run of 30 evaluations whose k-th call fails, for every k ({told}); then resumed",
        "each stopped with an error that names the file, 0 acknowledged results lost, at most 1 "
        f"call paid again each; {held}",
    )


def _faulty(job: Job, function: str, code: int, k: int) -> str:
    calls, failed = 0, False
    real = getattr(os, function)

    def faulty(*arguments: Any) -> Any:
        nonlocal calls, failed
        calls += 1
        if calls == k or (failed and code == errno.ENOSPC):
            failed = True
            if function == "write" and len(arguments[1]) > 3:
                real(arguments[0], bytes(arguments[1][:3]))  # a part of the line gets through
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    faulty_os = mock.MagicMock(wraps=os)
    for name in ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"):
        setattr(faulty_os, name, getattr(os, name))
    setattr(faulty_os, function, faulty)
    with (
        mock.patch.object(ledger, "os", faulty_os),
        mock.patch.object(files, "os", faulty_os),
        mock.patch.object(ledger, "PATIENCE", 0.0),
    ):
        try:
            job.run()
        except LedgerError as error:
            assert job.run_file.name in str(error)
        if not failed:
            return "finished"
    acknowledged = read(job.run_file).evaluations if job.run_file.exists() else ()
    assert sum(noted(job.log).values()) <= len(acknowledged) + 1
    job.run()
    lines = read(job.run_file).evaluations
    assert [e["x"] for e in lines[: len(acknowledged)]] == [e["x"] for e in acknowledged]
    assert sum(noted(job.log).values()) <= 31
    return "failed"


def _space_returns(folder: Path) -> str:
    """Fill a small file system, and make room while the run waits."""
    mount = folder / "small"
    mount.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return "a real full file system could not be mounted here"
    try:
        ballast = mount / "ballast"
        job = Job(mount / "run", 400, 0, 0.01, (("batch_size", 5),), log_folder=folder)
        process = job.start()
        while not job.run_file.exists() or len(read(job.run_file).evaluations) < 50:
            time.sleep(0.005)
        file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while os.write(file, b"x" * 4096):
                pass
        os.close(file)
        time.sleep(2)
        n_held = len(read(job.run_file).evaluations)
        time.sleep(1)
        assert len(read(job.run_file).evaluations) == n_held
        ballast.unlink()
        process.join(60)
        assert process.exitcode == 0
        assert sum(noted(job.log).values()) == 400
        return (
            f"a real file system of 1 MB filled up after {n_held} evaluations and emptied 3 s "
            "later: the run went on by itself, 400 calls for 400 evaluations"
        )
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def coordinators(folder: Path, quick: bool) -> tuple[str, str]:
    """Start a second coordinator; kill the first."""
    n_times = 5 if quick else 50
    refusal, takeover = [], []
    for i in range(n_times):
        job = Job(folder / str(i), 20, seconds=0.05)
        first = job.start()
        while not job.run_file.exists() or not read(job.run_file).evaluations:
            time.sleep(0.005)
        start = time.monotonic()
        try:
            job.run()
        except LedgerError as error:
            assert f"process {first.pid} on" in str(error)
            refusal.append(time.monotonic() - start)
        first.kill()
        first.join()
        start = time.monotonic()
        firsts: list[float] = []
        run = job.run(lambda _, firsts=firsts: firsts.append(time.monotonic()))  # type: ignore[misc]
        takeover.append(firsts[0] - start)
        assert run.n_evaluations == 20
        assert sum(noted(job.log).values()) <= 21
    assert len(refusal) == n_times
    return (
        f"a second coordinator on the same run, {n_times} times; then the first one killed",
        f"{len(refusal)} refusals that name process and host, the slowest after "
        f"{max(refusal):.2f} s; the run taken over within {max(takeover):.2f} s, "
        "0 evaluations paid twice beyond the one under way",
    )


def readers(folder: Path, quick: bool) -> tuple[str, str]:
    """Read while somebody writes."""
    job = Job(folder, 200 if quick else 2000)
    process = job.start()
    while not job.run_file.exists():
        time.sleep(0.005)
    counts: list[int] = []
    errors: list[str] = []

    def look() -> None:
        last = 0
        while process.is_alive():
            recorded = read(job.run_file)
            if recorded.damaged or len(recorded.evaluations) < last:
                errors.append("damaged or shrunk")
            last = len(recorded.evaluations)
            counts.append(last)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.join()
    assert process.exitcode == 0
    assert not errors
    return (
        f"8 readers while {job.budget} evaluations are written",
        f"{len(counts)} reads, {len(errors)} of them damaged or shorter than one before",
    )
