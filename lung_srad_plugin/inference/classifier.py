"""Classifying recordings with an exported model: one call, any recording."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.inference.classifiers import EncoderClassifier
from speechbrain.utils.autocast import AMPConfig, TorchAutocast
from speechbrain.utils.fetching import FetchConfig, LocalStrategy
from speechbrain.utils.run_opts import RunOptions

from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.audio.sound_statistics import frame_step, statistics_bands
from lung_srad_plugin.datasets.synthetic.marker import trained_on_synthetic
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import HYPERPARAMS, read_config
from lung_srad_plugin.export.novelty_file import describe_missing
from lung_srad_plugin.inference.fetching import fetch_source
from lung_srad_plugin.inference.loading import load_model, obtain_model
from lung_srad_plugin.inference.predict import check_finite, classify_embeddings, embed_waveforms, waveform_features
from lung_srad_plugin.inference.recording import FileEmbeddings, classify_recording, cut_recording, run_recording
from lung_srad_plugin.inference.reliability import score_novelty
from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.inference.run_options import check_run_options
from lung_srad_plugin.inference.thresholds import select_temperature, select_threshold
from lung_srad_plugin.inference.waveforms import check_lengths, check_waveforms
from lung_srad_plugin.inference.windows import WindowRule, select_rule
from lung_srad_plugin.metrics.operating_points import OperatingPoint
from lung_srad_plugin.metrics.uncertainty import UNCERTAIN_BELOW
from lung_srad_plugin.metrics.validation_fit import read_validation_fit
from lung_srad_plugin.utils.threads import respect_cpu_quota


class LungSoundClassifier(EncoderClassifier):
    """A lung-sound classifier behind one call.

    It is SpeechBrain's ``EncoderClassifier`` with what that leaves to the user: recordings of any length and rate,
    the training code's own preprocessing, checks of the input, and a model folder that is verified when it is loaded.
    ``classify_batch`` and ``encode_batch`` work as in the stock class; ``classify_file`` returns a ``Classification``
    instead of four tensors.

    Research use only: not a medical device. Sounds that are unlike the training sounds are flagged, as far as the
    model folder has a detector; a sound that is not flagged may still be no lung sound.

    Arguments
    ---------
    modules, hparams, run_opts, freeze_params
        As for ``EncoderClassifier``; ``from_hparams`` fills them in.

    Attributes
    ----------
    labels : tuple of str
        The class names in the order of the model's outputs, the normal class first.
    sample_rate : int
        Of waveforms, in Hz.
    window : float
        Input length of the model in seconds.
    config : ModelConfig or None
        What the model folder's ``config.json`` says; None of a classifier that ``from_hparams`` did not load.
    folder : Path or None
        Where the files of the model lie, or lay while it was loaded; None as of ``config``.
    model_id : str
        Names the model in results.
    trained_on_synthetic : bool
        Whether it was trained on synthetic sounds, which every result then says.
    calibration : Calibration
        Its ``temperature`` divides the log-probabilities so that probabilities match frequencies, fitted on validation
        cycles; where there is none, its ``reason`` says why. It is applied only where ``calibrated=True`` asks for it,
        so that probabilities are those of training and of the stock class.
    operating_points : tuple of OperatingPoint
        Thresholds for calling a cycle abnormal, each with the temperature it was fitted at.
    novelty : NoveltyDetector or None
        Tells sounds that are unlike the training sounds; None where the model folder has none.
    uncertain_below : float
        Confidence below which a class is called uncertain.

    Example
    -------
    >>> from lung_srad_plugin import LungSoundClassifier
    >>> model = LungSoundClassifier.from_hparams(source="results/demo/run/export")  # doctest: +SKIP
    >>> result = model.classify_file("101_1b1_Al_sc_Meditron.wav")  # doctest: +SKIP
    >>> result.summary.label, result.summary.wheeze  # doctest: +SKIP
    ('wheeze', 0.8361)
    """

    HPARAMS_NEEDED = ("label_encoder", "sample_rate")

    def __init__(self, modules=None, hparams=None, run_opts=None, freeze_params=True):
        super().__init__(modules, hparams, check_run_options(run_opts), freeze_params)
        encoder = self.hparams.label_encoder
        self.labels = tuple(str(encoder.ind2lab[index]) for index in range(len(encoder)))
        self.sample_rate = self.hparams.sample_rate
        self.window = self.mods.compute_features.duration
        self.config = getattr(self.hparams, "config", None)
        self.folder = getattr(self.hparams, "folder", None)
        self.model_id = getattr(self.hparams, "model_id", "unnamed")
        self.trained_on_synthetic = self.config is not None and trained_on_synthetic(self.config.model_dump())
        fit = getattr(self.hparams, "validation_fit", None) or read_validation_fit({})
        self.calibration, self.operating_points = fit.calibration, fit.operating_points
        self.novelty = getattr(self.hparams, "novelty", None)
        self.statistics_bands = statistics_bands(self.mods.compute_features)
        self.frame_step = frame_step(self.mods.compute_features)
        stored = None if self.config is None else self.config.uncertainty
        self.uncertain_below = UNCERTAIN_BELOW if stored is None else stored.below
        self._follow_device()

    @classmethod
    def from_hparams(
        cls,
        source: Any = None,
        hparams_file: str = HYPERPARAMS,
        overrides: dict | str | None = None,
        overrides_must_match: bool = True,
        savedir: str | Path | None = None,
        download_only: bool = False,
        local_strategy: LocalStrategy = LocalStrategy.SYMLINK,
        fetch_config: FetchConfig | None = None,
        run_opts: RunOptions | dict | None = None,
        freeze_params: bool = True,
        trust_code: bool = False,
    ) -> Any:
        """Load an exported model and verify what SpeechBrain does not.

        Arguments
        ---------
        source : str, Path or FetchSource, optional
            A folder that ``lung-srad export`` or a training run wrote, a hub id ``owner/name``, or a web address. A
            folder is read where it lies: nothing is copied, and the network is not asked. What looks like a path, and
            every ``Path``, is a folder; ``hf://owner/name`` is always the hub's. Without a source, and where it is
            ``starter``, the model that comes with the package; ``./starter`` is a folder of that name.
        hparams_file : str
            Name of the hyperparameter file.
        overrides : dict or str, optional
            Changes to it.
        overrides_must_match : bool
            Whether an override of a key that is not there is an error.
        savedir : str or Path, optional
            Where to put the files of a remote model; older ones there are replaced. Not needed: the hub has its cache.
        download_only : bool
            Fetch and look at the files, load nothing, and return None.
        local_strategy : LocalStrategy
            How files of the hub get to ``savedir``.
        fetch_config : FetchConfig, optional
            Revision, token, whether the network may be used.
        run_opts : dict or RunOptions, optional
            ``device``: "cpu", "cuda", "cuda:1", or a ``torch.device``. ``precision``: "fp32", "bf16" or "fp16", by
            autocast, with features, scan and probabilities in float32 all the same.
        freeze_params : bool
            Whether the weights are frozen and the modules in evaluation mode.
        trust_code : bool
            False: the hyperparameter file may call what an export contains, and nothing else. True: as everywhere in
            SpeechBrain it may call anything, so that loading the model may run any code.

        Returns
        -------
        LungSoundClassifier or None

        Raises
        ------
        LungSRADError
            In one sentence with the cure: where the folder lacks a file, a weight is missing or misshapen, a file does
            not belong to the others, the hyperparameter file calls what no export contains, the labels or the sample
            rate are not the model's, the folder is of a version that this one does not read, or the device or precision
            does not exist.

        Example
        -------
        >>> LungSoundClassifier.from_hparams(source="./no/such/folder")
        Traceback (most recent call last):
        ...
        lung_srad_plugin.errors.LungSRADError: ./no/such/folder: no such folder; expected a model ...
        """
        respect_cpu_quota()
        run_opts = check_run_options(run_opts)
        where = {"savedir": savedir, "local_strategy": local_strategy, "fetch_config": fetch_config}
        if download_only:
            with obtain_model(source, hparams_file, **where) as folder:
                read_config(folder)
            return None
        model = load_model(source, hparams_file, overrides, overrides_must_match, trust_code=trust_code, **where)
        hparams = model.hparams | {
            "savedir": savedir,
            "config": model.config,
            "folder": model.folder,
            "model_id": model.config.model,
            "validation_fit": read_validation_fit(model.config.model_dump()),
            "novelty": model.novelty,
        }
        return cls(model.modules, hparams, run_opts, freeze_params)

    # ---- batches, as in the stock class ----

    def encode_batch(
        self,
        wavs: torch.Tensor | np.ndarray,
        wav_lens: torch.Tensor | None = None,
        normalize: bool = False,
        sample_rate: int | None = None,
    ) -> torch.Tensor:
        """Return the embeddings (B, 1, D) of whole waveforms.

        Arguments
        ---------
        wavs : torch.Tensor or numpy array
            (B, samples) or (samples,), floats of one channel, at ``self.sample_rate``. Each is treated as a recording:
            faded at both ends, brought to one level where the model was trained so, then repeated or cut to the
            model's duration.
        wav_lens : torch.Tensor, optional
            (B,) lengths relative to the longest; what lies behind them is padding and is left out.
        normalize : bool
            As in ``EncoderClassifier``; needs ``mean_var_norm_emb`` in the hyperparameters.
        sample_rate : int, optional
            That of the waveforms in Hz; it is checked, nothing is resampled.

        Raises
        ------
        LungSRADError
            Where the shape, the lengths, the values or the sample rate do not fit.
        """
        wavs = check_waveforms(wavs, sample_rate, self.sample_rate).to(self.device)
        embeddings = embed_waveforms(self, wavs, check_lengths(wav_lens, *wavs.shape))
        if normalize:
            embeddings = self.hparams.mean_var_norm_emb(embeddings, torch.ones(len(embeddings), device=self.device))
        return embeddings

    def classify_batch(
        self,
        wavs: torch.Tensor | np.ndarray,
        wav_lens: torch.Tensor | None = None,
        sample_rate: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[str]]:
        """Classify whole waveforms; arguments as for ``encode_batch``.

        Returns
        -------
        out_prob : torch.Tensor
            (B, C) log-probabilities.
        score, index : torch.Tensor
            (B,) log-probability and index of the most probable class.
        text_lab : list of str
            Its name.
        """
        out_prob = classify_embeddings(self, self.encode_batch(wavs, wav_lens, sample_rate=sample_rate))
        check_finite([out_prob], [f"waveform {index}" for index in range(len(out_prob))])
        score, index = out_prob.max(dim=-1)
        return out_prob, score, index, self.hparams.label_encoder.decode_torch(index)

    @torch.no_grad()
    def unlike_training_batch(
        self, wavs: torch.Tensor | np.ndarray, wav_lens: torch.Tensor | None = None, sample_rate: int | None = None
    ) -> torch.Tensor:
        """Return how unlike the training sounds whole waveforms are; arguments as for ``encode_batch``.

        Returns
        -------
        torch.Tensor
            (B,), on the CPU; above 1 a waveform is unlike the training sounds, and its class means nothing.

        Raises
        ------
        LungSRADError
            As ``encode_batch``, and where the model folder has no detector.
        """
        if self.novelty is None:
            raise LungSRADError(f"{self.model_id} has no detector of unlike sounds: {describe_missing(self.config)}")
        wavs = check_waveforms(wavs, sample_rate, self.sample_rate).to(self.device)
        scores = score_novelty(self, waveform_features(self, wavs, check_lengths(wav_lens, *wavs.shape)))
        check_finite([scores], [f"waveform {index}" for index in range(len(wavs))])
        return scores

    def load_audio(self, path: Any, savedir: str | Path | None = None) -> torch.Tensor:
        """Return a recording as ``(samples,)`` at the model's sample rate, on its device, without any fade.

        Arguments
        ---------
        path : str, Path or FetchSource
            A file, or a web address, which needs ``savedir``.
        savedir : str or Path, optional
            Where to put what is downloaded.
        """
        return load_recording(fetch_source(path, savedir), self.sample_rate).to(self.device)

    # ---- recordings ----

    def classify_file(
        self,
        path: Any,
        cycles: str | Path | Sequence[tuple[float, float]] | None = None,
        hop: float | None = None,
        batch_size: int = 2,
        savedir: str | Path | None = None,
        progress: Callable[[int, int], object] | None = None,
        calibrated: bool = False,
        sample_rate: int | None = None,
        name: str | None = None,
        sensitivity: float | None = None,
        window: float | None = None,
        merging: str | None = None,
    ) -> Classification:
        """Classify a recording of any length, sample rate and number of channels.

        Arguments
        ---------
        path : str, Path, bytes, binary file, numpy array, torch.Tensor or FetchSource
            A file that libsndfile reads (WAV, FLAC, OGG, MP3 and others) or, with the extra ``formats``, PyAV (M4A,
            3GP, AMR, WebM and others), or what is in one as bytes or as an open file; samples, (samples,) or (samples,
            channels), floats with full scale at 1, with ``sample_rate``; or a web address, which needs ``savedir``.
        cycles : str, Path or list of (float, float), optional
            What to classify: an annotation file, see ``read_annotations``, or (start, end) pairs in seconds. None
            slides a window over the recording.
        hop : float, optional
            Seconds between the starts of two windows, at most the window. Smaller is finer and slower. By default what
            the model's folder recommends, else 4 s.
        batch_size : int
            Windows or cycles that go through the model at once. More is faster on a GPU; with DASS-medium on a CPU each
            takes some 100 MB.
        savedir : str or Path, optional
            Where to put what is downloaded.
        progress : callable, optional
            Called as ``progress(done, total)`` after each batch, in cycles or windows.
        calibrated : bool
            Divide the log-probabilities by the fitted temperature, which changes no class of a cycle or window but
            makes its probability an honest one, as far as the recordings are like the validation cycles.
        sample_rate : int, optional
            Of samples, in Hz. A file states its own.
        name : str, optional
            What results and messages call the recording; by default its path, or "recording" where it has none.
        sensitivity : float, optional
            In percent: apply the threshold that was fitted for it on validation cycles, at the temperature in use.
        window : float, optional
            Length of a window in seconds. By default what the model's folder recommends, else the model's duration; a
            shorter one is repeated to that, as short cycles are in training.
        merging : str, optional
            What the timeline has where windows overlap: ``"mean"``, ``"median"``, ``"max"`` or ``"nearest"``, see
            ``WindowRule``. By default what the model's folder recommends, else the mean.

        Returns
        -------
        Classification
            Its ``segments`` are the cycles, or the timeline of the merged windows; its ``events`` are what of the
            timeline reaches the thresholds that the model's folder recommends, where neither window, hop, merging nor
            temperature were changed. Stretches that are digitally silent
            or constant are not classified; ``flaws`` lists them.

        Raises
        ------
        LungSRADError
            Where the recording cannot be read or has nothing to classify, a cycle does not lie within it, or the
            model's result is not finite.

        Example
        -------
        >>> samples = numpy.zeros(16000)  # doctest: +SKIP
        >>> model.classify_file(samples, sample_rate=4000, name="bed 3").summary.label  # doctest: +SKIP
        'normal'
        """
        temperature = select_temperature(self.calibration, calibrated, self.model_id)
        operating_point = select_threshold(self.operating_points, sensitivity, temperature)
        rule = self.select_rule(window, hop, merging, calibrated)
        source = fetch_source(path, savedir, sample_rate, name)
        recording = cut_recording(self, source, cycles, rule)
        return classify_recording(self, recording, batch_size, progress, temperature, operating_point)

    def encode_file(
        self,
        path: Any,
        cycles: str | Path | Sequence[tuple[float, float]] | None = None,
        hop: float | None = None,
        batch_size: int = 2,
        savedir: str | Path | None = None,
        progress: Callable[[int, int], object] | None = None,
        sample_rate: int | None = None,
        name: str | None = None,
        window: float | None = None,
    ) -> FileEmbeddings:
        """Return the embeddings of a recording's cycles or windows; arguments as for ``classify_file``.

        Returns
        -------
        FileEmbeddings
        """
        rule = self.select_rule(window, hop)
        recording = cut_recording(self, fetch_source(path, savedir, sample_rate, name), cycles, rule)
        vectors = run_recording(self, recording, batch_size, progress).embeddings
        return FileEmbeddings(recording.times, vectors, recording.stream.flaws())

    def select_threshold(self, sensitivity: float | None, calibrated: bool = False) -> OperatingPoint | None:
        """Return the ``OperatingPoint`` that ``classify_file`` would apply; None where ``sensitivity`` is None."""
        temperature = select_temperature(self.calibration, calibrated, self.model_id)
        return select_threshold(self.operating_points, sensitivity, temperature)

    def select_rule(
        self,
        window: float | None = None,
        hop: float | None = None,
        merging: str | None = None,
        calibrated: bool = False,
    ) -> WindowRule:
        """Return the ``WindowRule`` that ``classify_file`` would apply: what is given, else what is recommended."""
        recommended = None if self.config is None else self.config.timeline
        rule = select_rule(recommended, self.window, window, hop, merging)
        # The thresholds of events were chosen for the probabilities as they come out of the model.
        return replace(rule, thresholds={}) if calibrated else rule

    # ---- device and precision ----

    def _apply(self, fn, recurse=True):
        # What .to(), .cuda() and .cpu() come down to.
        super()._apply(fn, recurse)
        self._follow_device()
        return self

    def _follow_device(self):
        """Let ``self.device`` and the autocast be those of the weights."""
        device = next(self.mods.parameters()).device
        self.device, self.device_type = str(device), device.type
        precision = self.precision if self.precision != "fp32" else self.eval_precision
        self.inference_ctx = TorchAutocast(device_type=device.type, dtype=AMPConfig.from_name(precision).dtype)
