"""What runs on each worker: a model, held once, that classifies the recordings it is given."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.settings import ClassifySettings
from lung_srad_plugin.screening.journal import MOST_DEATHS, JournalEntry
from lung_srad_plugin.screening.model_copy import ModelCopy
from lung_srad_plugin.screening.tables import Tables, answer_of, bad_answer
from lung_srad_plugin.utils.devices import PRECISIONS
from lung_srad_plugin.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from lung_srad_plugin.inference.result import Classification


class ScreenSettings(ClassifySettings):
    """How each recording is classified: what two runs must share for their results to be one table.

    Arguments
    ---------
    precision : str
        Of the computation.
    """

    precision: str = PRECISIONS[0]


class RecordingWorker:
    """A model that classifies batches of recordings.

    Arguments
    ---------
    model : ModelCopy
    settings : ScreenSettings
    batch_size : int
        Windows that go through the model at once.
    device : str
    tables : Tables
    filesystem : pyarrow.fs.FileSystem
        From which recordings are read that arrive without their content.
    scheme : str
        Before a path of it, it makes the name of a recording.
    journal : handle of a Journal
    version : str
        Of lung-srad where the screening was started.
    """

    def __init__(
        self,
        model: ModelCopy,
        settings: ScreenSettings,
        batch_size: int,
        device: str,
        tables: Tables,
        filesystem: FileSystem,
        scheme: str,
        journal: Any,
        version: str,
    ):
        if version != __version__:
            raise LungSRADError(
                f"{platform.node()}: lung-srad {__version__} is installed there, and {version} where the screening was "
                "started; install the same everywhere"
            )
        self._journal = JournalEntry(journal)
        import torch

        if device == "cpu":
            torch.set_num_threads(1)  # there are as many workers as cores
        self._classifier = model.load(device, settings.precision)
        self._settings, self._batch_size = settings, batch_size
        self._tables = tables
        self._filesystem, self._scheme = filesystem, scheme

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the answers for a batch with ``path``, and ``bytes`` where the content was read already."""
        contents = batch["bytes"] if "bytes" in batch.column_names else [None] * len(batch)
        answers = [self._answer(path.as_py(), content) for path, content in zip(batch["path"], contents, strict=True)]
        return self._tables.join(answers)

    def classify(self, content: bytes, name: str) -> Classification:
        """Return the result of a recording.

        Raises
        ------
        LungSRADError
            Where it has none.
        """
        settings = self._settings.keywords()
        return self._classifier.classify_file(content, name=name, batch_size=self._batch_size, **settings)

    def _answer(self, path, content):
        name = f"{self._scheme}{path}"
        deaths = self._journal.begin(name)
        if deaths >= MOST_DEATHS:
            return bad_answer(name, f"{deaths} workers ended while they were at it, perhaps for want of memory")
        try:
            result = self.classify(self._read(path) if content is None else content.as_py(), name)
        except LungSRADError as error:
            return bad_answer(name, str(error).removeprefix(f"{name}: "))
        except OSError as error:
            return bad_answer(name, f"cannot be read ({error.strerror or error})")
        except Exception as error:  # one recording must not end a screening of millions
            reason = f"{type(error).__name__}: {error} (unexpected; please report it with the recording)"
            return bad_answer(name, reason)
        return answer_of(result)

    def _read(self, path):
        with self._filesystem.open_input_stream(path) as file:
            return file.read()
