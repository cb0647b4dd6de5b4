"""The model of a run and the one before it: fitted when it is looked at, or from a checkpoint."""

from pathlib import Path
from time import perf_counter
from typing import final

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.record.checkpoint import Checkpoint, fingerprint
from adaptsample.surrogates.protocol import Model, Surrogate


@final
class ModelUpdater:
    """Keeps the model up to date with the training set.

    A fit is due with every new training set that it is told, and made when the model is looked at,
    or when the next one is due: later fits continue from earlier ones. While a run is replayed that
    has a checkpoint, nobody looks at earlier models, and their fits are left out.

    Args:
        surrogate: what is fitted.
        seed: the run's seed.
    """

    def __init__(self, surrogate: Surrogate, seed: int) -> None:
        self.seconds = 0.0
        self._surrogate = surrogate
        self._seed = seed
        self._model: Model | None = None
        self._previous: Model | None = None
        self._told: Dataset | None = None  # the last training set
        self._due: tuple[Dataset, int] | None = None  # what is not fitted yet, and of which round
        self._path: Path | None = None
        self._saved: Checkpoint | None = None  # until the rounds come by it

    def keep_in(self, path: Path, *, n_rounds: int) -> None:
        """Keep checkpoints in a file, and continue from the one of a run of so many rounds."""
        self._path = path
        if n_rounds > 0:
            package = type(self._surrogate).__module__.partition(".")[0]
            saved = Checkpoint.read(path, package=package)
            # one of a later round than there is belongs to what the run file has lost
            self._saved = saved if saved is not None and saved.round <= n_rounds else None

    def update(self, data: Dataset, *, number: int) -> None:
        """Say what the model is to be of from now on.

        Args:
            data: the training set.
            number: of the round.
        """
        if data is self._told or len(data) == 0:
            return
        if self._due is not None and (self._saved is None or self._due[1] >= self._saved.round):
            self._settle()
        self._told, self._due = data, (data, number)

    @property
    def model(self) -> Model | None:
        """The model of the last training set; None before there is one."""
        self._settle()
        return self._model

    @property
    def previous(self) -> Model | None:
        """The model before the last fit; None before there are two."""
        self._settle()
        return self._previous

    def _settle(self) -> None:
        """Make the fit that is due, unless the checkpoint has it."""
        if self._due is None:
            return
        (data, number), self._due = self._due, None
        saved, self._saved = self._saved, None
        if saved is not None and saved.round <= number:
            is_of_now = saved.round == number and saved.data == fingerprint(data)
            if is_of_now or saved.round < number:
                self._model, self._previous = saved.model, saved.previous
            if is_of_now:
                return
        start = perf_counter()
        generator = derive_generator(self._seed, "fit", number)
        model = self._surrogate.fit(data, generator=generator, start=self._model)
        self._previous, self._model = self._model, model
        self.seconds += perf_counter() - start
        if self._path is not None:
            Checkpoint(number, fingerprint(data), model, self._previous).write(self._path)
