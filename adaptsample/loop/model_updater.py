"""The model of a run and the one before it: fitted when need be, or taken from a checkpoint."""

from pathlib import Path
from time import perf_counter
from typing import final

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.record.checkpoint import Checkpoint, fingerprint
from adaptsample.surrogates.protocol import Model, Surrogate


@final
class Fitting:
    """Keeps the model up to date with the training set.

    While a run is replayed that has a checkpoint, earlier fits are left out: their models are known
    to nobody but the proposals, which are on file.

    Args:
        surrogate: what is fitted.
        seed: the run's seed.
    """

    def __init__(self, surrogate: Surrogate, seed: int) -> None:
        self.model: Model | None = None
        self.previous: Model | None = None
        self.seconds = 0.0
        self._surrogate = surrogate
        self._seed = seed
        self._fitted_on: Dataset | None = None
        self._path: Path | None = None
        self._saved: Checkpoint | None = None  # until the replay comes by it

    def keep_in(self, path: Path, *, n_rounds: int) -> None:
        """Keep checkpoints in a file, and continue from the one of a run of so many rounds."""
        self._path = path
        if n_rounds > 0:
            package = type(self._surrogate).__module__.partition(".")[0]
            saved = Checkpoint.read(path, package=package)
            # one of a later round than there is belongs to what the run file has lost
            self._saved = saved if saved is not None and saved.round <= n_rounds else None

    def fit(self, data: Dataset, *, number: int, replayed: bool = False) -> None:
        """Fit to the data, unless that is done.

        Args:
            data: the training set.
            number: of the round.
            replayed: whether what is proposed next is on file.
        """
        if self._fitted_on is data or len(data) == 0:
            return
        if self._is_taken_from_file(data, number, replayed):
            return
        start = perf_counter()
        generator = derive_generator(self._seed, "fit", number)
        model = self._surrogate.fit(data, generator=generator, start=self.model)
        self.previous, self.model, self._fitted_on = self.model, model, data
        self.seconds += perf_counter() - start
        if self._path is not None:
            Checkpoint(number, fingerprint(data), model, self.previous).write(self._path)

    def _is_taken_from_file(self, data: Dataset, number: int, replayed: bool) -> bool:
        saved = self._saved
        if saved is None or (number < saved.round and replayed):
            return saved is not None  # a later model is on file
        self._saved = None
        is_of_now = saved.round == number and saved.data == fingerprint(data)
        if is_of_now or saved.round < number:
            self.model, self.previous = saved.model, saved.previous
        if is_of_now:
            self._fitted_on = data
        return is_of_now
