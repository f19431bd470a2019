"""Classifying recordings with an exported model: one call, any recording."""

import contextlib
import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.inference.classifiers import EncoderClassifier
from speechbrain.utils.autocast import AMPConfig, TorchAutocast
from speechbrain.utils.data_utils import split_path
from speechbrain.utils.fetching import FetchConfig, FetchSource, LocalStrategy, fetch
from speechbrain.utils.run_opts import RunOptions

from lung_srad_plugin.audio.cycles import shape_cycle
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.quality import Flaw
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import (
    CONFIG,
    CURE,
    HYPERPARAMS,
    LABEL_ENCODER,
    WEIGHTS,
    check_files,
    check_weights,
    read_config,
)
from lung_srad_plugin.inference.cycles import cycle_spans, read_cycles
from lung_srad_plugin.inference.loading import obtain_model
from lung_srad_plugin.inference.result import Classification, make_segment, summarize
from lung_srad_plugin.inference.windows import merge_windows, place_windows
from lung_srad_plugin.metrics.validation_fit import read_validation_fit

PRECISIONS = ("fp32", "bf16", "fp16")


class FileEmbeddings(NamedTuple):
    """The encoder's view of a recording.

    Arguments
    ---------
    spans : list of (float, float)
        Start and end of each cycle or window, in seconds.
    vectors : torch.Tensor
        (N, D), on the CPU, one for each span.
    flaws : tuple of Flaw
        What the input checks found.
    """

    spans: list
    vectors: torch.Tensor
    flaws: tuple


class LungSoundClassifier(EncoderClassifier):
    """A lung-sound classifier behind one call.

    It is SpeechBrain's ``EncoderClassifier`` with what that leaves to the user: recordings of any length and rate,
    the training code's own preprocessing, checks of the input, and a model folder that is verified when it is loaded.
    ``classify_batch`` and ``encode_batch`` work as in the stock class; ``classify_file`` returns a ``Classification``
    instead of four tensors.

    Research use only: not a medical device. Whether a file holds a lung sound at all cannot be known here.

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
        Seconds that the model hears at once.
    model_id : str
        Names the model in results.
    calibration : Calibration
        Its ``temperature`` divides the log-probabilities to make them honest, fitted on validation cycles; where there
        is none, its ``reason`` says why. It is applied only where ``calibrated=True`` asks for it, so that
        probabilities are those of training and of the stock class.
    operating_points : tuple of OperatingPoint
        Thresholds for calling a cycle abnormal, each with the temperature it was fitted at: see
        ``select_operating_point``.

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
        super().__init__(modules, hparams, _check_run_opts(run_opts), freeze_params)
        encoder = self.hparams.label_encoder
        self.labels = tuple(str(encoder.ind2lab[index]) for index in range(len(encoder)))
        self.sample_rate = self.hparams.sample_rate
        self.window = self.mods.compute_features.duration
        self.model_id = getattr(self.hparams, "model_id", "unnamed")
        fit = getattr(self.hparams, "validation_fit", None) or read_validation_fit({})
        self.calibration, self.operating_points = fit.calibration, fit.operating_points
        self._follow_device()

    @classmethod
    def from_hparams(
        cls,
        source,
        hparams_file=HYPERPARAMS,
        overrides=None,
        overrides_must_match=True,
        savedir=None,
        download_only=False,
        local_strategy=LocalStrategy.SYMLINK,
        fetch_config=None,
        run_opts=None,
        freeze_params=True,
    ):
        """Load an exported model and verify what SpeechBrain does not.

        Arguments
        ---------
        source : str, Path or FetchSource
            A folder that ``lung-srad export`` or a training run wrote, a hub id ``owner/name``, or a web address. A
            folder is read where it lies: nothing is copied, and the network is not asked.
        hparams_file : str
            Name of the hyperparameter file. Like everywhere in SpeechBrain it may run code: load only what you trust.
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

        Returns
        -------
        LungSoundClassifier or None

        Raises
        ------
        LungSRADError
            In one sentence with the cure: where the folder lacks a file, a weight is missing or misshapen, a file does
            not belong to the others, the labels or the sample rate are not the model's, the folder is of a version that
            this one does not read, or the device or precision does not exist.

        Example
        -------
        >>> LungSoundClassifier.from_hparams(source="./no/such/folder")
        Traceback (most recent call last):
        ...
        lung_srad_plugin.errors.LungSRADError: ./no/such/folder: no such folder; expected a model ...
        """
        run_opts = _check_run_opts(run_opts)
        fetch_config = FetchConfig() if fetch_config is None else fetch_config
        with contextlib.ExitStack() as stack:
            place = savedir
            if savedir is None and str(source).startswith(("http:", "https:")):
                place = stack.enter_context(tempfile.TemporaryDirectory(prefix="lung-srad-"))
            folder = obtain_model(source, hparams_file, place, local_strategy, fetch_config)
            config = read_config(folder)
            if download_only:
                return None
            hparams = _build(folder, hparams_file, overrides or {}, overrides_must_match, config)
            hparams["savedir"] = savedir
            hparams["model_id"] = config["model"]
            hparams["validation_fit"] = read_validation_fit(config)
            return cls(hparams["modules"], hparams, run_opts, freeze_params)

    # ---- batches, as in the stock class ----

    def encode_batch(self, wavs, wav_lens=None, normalize=False, sample_rate=None):
        """Return the embeddings (B, 1, D) of whole waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            (B, samples) or (samples,), one channel, at ``self.sample_rate``. Each is treated as a recording: faded at
            both ends, then repeated or cut to the model's duration.
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
        wavs = self._check_waveforms(wavs, sample_rate)
        lengths = self._check_lengths(wavs, wav_lens)
        with self.inference_ctx:
            if len(set(lengths)) == 1:
                feats = self.mods.compute_features(wavs[:, : lengths[0]])
            else:
                clips = zip(wavs, lengths, strict=True)
                feats = torch.cat([self.mods.compute_features(wav[None, :length]) for wav, length in clips])
            embeddings = self._encode(feats)
        if normalize:
            embeddings = self.hparams.mean_var_norm_emb(embeddings, torch.ones(len(embeddings), device=self.device))
        return embeddings

    def classify_batch(self, wavs, wav_lens=None, sample_rate=None):
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
        out_prob = self._classify(self.encode_batch(wavs, wav_lens, sample_rate=sample_rate))
        score, index = out_prob.max(dim=-1)
        return out_prob, score, index, self.hparams.label_encoder.decode_torch(index)

    def load_audio(self, path, savedir=None):
        """Return a recording as ``(samples,)`` at the model's sample rate, on its device, without any fade.

        Arguments
        ---------
        path : str, Path or FetchSource
            A file, or a web address, which needs ``savedir``.
        savedir : str or Path, optional
            Where to put what is downloaded.
        """
        return load_recording(_local_audio(path, savedir), self.sample_rate).to(self.device)

    # ---- recordings ----

    def classify_file(self, path, cycles=None, hop=4.0, batch_size=2, savedir=None, progress=None, calibrated=False):
        """Classify a recording of any length, sample rate and number of channels.

        Arguments
        ---------
        path : str, Path or FetchSource
            A file that libsndfile reads (WAV, FLAC, OGG, MP3 and others), or a web address, which needs ``savedir``.
        cycles : str, Path or list of (float, float), optional
            What to classify: an ICBHI annotation file, or (start, end) pairs in seconds. None slides a window of the
            model's duration over the recording, and where windows overlap takes the mean of their probabilities.
        hop : float
            Seconds between the starts of two windows, at most the model's duration. Smaller is finer and slower.
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

        Returns
        -------
        Classification
            Its ``segments`` are the cycles, or the timeline of the merged windows. Stretches that are digitally silent
            or constant are not classified; ``flaws`` lists them.

        Raises
        ------
        LungSRADError
            Where the recording cannot be read or has nothing to classify, or a cycle does not lie within it.
        """
        temperature = self._temperature(calibrated)
        stream, spans = self._open(path, cycles, hop, savedir)
        log_probs = [self._classify(part).cpu() for part in self._embed(stream, spans, batch_size, progress)]
        flaws = _flaws(stream)
        heard, left_out = _drop_silent(spans, stream)
        if not heard:
            raise LungSRADError(f"{stream.path}: every cycle is silent or constant; expected cycles with sound in them")
        probabilities = (torch.cat(log_probs).double() / temperature).softmax(dim=-1)[heard].tolist()
        spans = [spans[place] for place in heard]
        rate = self.sample_rate
        if cycles is None:
            segments = merge_windows(spans, probabilities, rate, self.labels)
        else:
            times = read_cycles(cycles)
            segments = [
                make_segment(*times[place], self.labels, row) for place, row in zip(heard, probabilities, strict=True)
            ]
            flaws += tuple(
                Flaw(
                    "silence", f"the cycle from {start:g} to {end:g} s has no sound and was not classified", start, end
                )
                for start, end in (times[place] for place in left_out)
            )
        return Classification(
            file=str(path),
            duration=stream.duration,
            sample_rate=stream.native_rate,
            channels=stream.channels,
            model=self.model_id,
            kind="timeline" if cycles is None else "cycles",
            segments=tuple(segments),
            summary=summarize(segments, self.labels),
            flaws=flaws,
        )

    def encode_file(self, path, cycles=None, hop=4.0, batch_size=2, savedir=None, progress=None):
        """Return the embeddings of a recording's cycles or windows; arguments as for ``classify_file``.

        Returns
        -------
        FileEmbeddings
        """
        stream, spans = self._open(path, cycles, hop, savedir)
        vectors = [part.squeeze(1).float().cpu() for part in self._embed(stream, spans, batch_size, progress)]
        times = [(begin / self.sample_rate, end / self.sample_rate) for begin, end in spans]
        return FileEmbeddings(times if cycles is None else read_cycles(cycles), torch.cat(vectors), _flaws(stream))

    def _temperature(self, calibrated):
        if not calibrated:
            return 1.0
        if self.calibration.temperature is None:
            raise LungSRADError(
                f"{self.model_id} has no temperature: {self.calibration.reason}; classify without calibrated"
            )
        return self.calibration.temperature

    def _open(self, path, cycles, hop, savedir):
        """Return the recording and its (begin, end) spans in samples."""
        stream = RecordingStream(_local_audio(path, savedir), self.sample_rate)
        window = round(self.window * self.sample_rate)
        if cycles is not None:
            return stream, cycle_spans(read_cycles(cycles), stream.samples, self.sample_rate, window, stream.path)
        return stream, place_windows(stream.samples, window, round(hop * self.sample_rate))

    def _embed(self, stream, spans, batch_size, progress):
        """Yield the embeddings (b, 1, D) of the spans, a batch at a time."""
        if batch_size < 1:
            raise LungSRADError(f"batch_size={batch_size}; expected at least 1")
        cycles = (shape_cycle(part, self.window, self.sample_rate) for part in stream.cut(spans))
        done = 0
        while batch := list(islice(cycles, batch_size)):
            yield self._embed_batch(torch.stack(batch))
            done += len(batch)
            if progress is not None:
                progress(done, len(spans))

    @torch.no_grad()
    def _embed_batch(self, waveforms):
        # Shaped already: the front end of the training follows, without the fade of whole recordings.
        with self.inference_ctx:
            return self._encode(self.mods.compute_features.fbank(waveforms.to(self.device)))

    def _encode(self, feats):
        lens = torch.ones(len(feats), device=feats.device)
        return self.mods.embedding_model(self.mods.mean_var_norm(feats, lens), lens)

    def _classify(self, embeddings):
        with self.inference_ctx:
            return self.mods.classifier(embeddings).squeeze(1).float()

    def _check_waveforms(self, wavs, sample_rate):
        if sample_rate is not None and sample_rate != self.sample_rate:
            raise LungSRADError(
                f"sample_rate={sample_rate}, but the model hears {self.sample_rate} Hz; resample the waveforms first, "
                "or give the file to classify_file, which does"
            )
        if not isinstance(wavs, torch.Tensor) or not wavs.is_floating_point():
            kind = wavs.dtype if isinstance(wavs, torch.Tensor) else type(wavs).__name__
            raise LungSRADError(f"waveforms are {kind}; expected a tensor of floats, full scale at 1")
        if wavs.dim() == 1:
            wavs = wavs.unsqueeze(0)
        if wavs.dim() != 2 or wavs.numel() == 0:
            raise LungSRADError(
                f"waveforms of shape {tuple(wavs.shape)}; expected (batch, samples) of one channel, not empty"
            )
        if not torch.isfinite(wavs).all():
            raise LungSRADError("the waveforms hold NaN or infinite samples; expected finite ones")
        return wavs.to(self.device).float()

    def _check_lengths(self, wavs, wav_lens):
        """Return the length of each waveform in samples."""
        if wav_lens is None:
            return [wavs.shape[1]] * len(wavs)
        wav_lens = torch.as_tensor(wav_lens, dtype=torch.float64)
        if wav_lens.shape != (len(wavs),) or not ((wav_lens > 0) & (wav_lens <= 1)).all():
            raise LungSRADError(
                f"wav_lens={wav_lens.tolist()}; expected {len(wavs)} lengths relative to the longest waveform, above 0 "
                "and at most 1"
            )
        return [round(length) for length in (wav_lens * wavs.shape[1]).tolist()]

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


def _check_run_opts(run_opts):
    """Return SpeechBrain's run options with device and precision checked; a device may be a ``torch.device``."""
    if run_opts is None:
        return None
    if isinstance(run_opts, dict):
        unknown = sorted(set(run_opts) - set(RunOptions().as_dict()))
        if unknown:
            raise LungSRADError(f"run_opts: {', '.join(unknown)} is unknown; expected for example device and precision")
        options = dict(run_opts)
        if "device" in options and options["device"] is not None:
            options["device"] = str(options["device"])
        run_opts = RunOptions.from_dictionary(options)
    for name in ("precision", "eval_precision"):
        if getattr(run_opts, name) not in PRECISIONS:
            raise LungSRADError(
                f"run_opts: {name} {getattr(run_opts, name)!r} is unknown; expected one of {', '.join(PRECISIONS)}"
            )
    if run_opts.device is not None:
        try:
            torch.empty(0, device=run_opts.device)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA answers with an assertion
            reason = str(error).splitlines()[0]
            raise LungSRADError(f"run_opts: device {run_opts.device!r} cannot be used ({reason}); try 'cpu'") from None
    return run_opts


def _build(folder, hparams_file, overrides, overrides_must_match, config):
    """Build the modules of a model folder, fill in their weights and check all against ``config``."""
    yaml = folder / hparams_file
    if not yaml.is_file():
        raise LungSRADError(f"{yaml}: no such hyperparameter file")
    # Weights are drawn at random before they are filled in; that must not move the user's generator.
    with torch.random.fork_rng(devices=[]):
        try:
            with open(yaml, encoding="utf-8") as file:
                hparams = load_hyperpyyaml(file, overrides, overrides_must_match)
        except Exception as error:  # the file may call anything
            reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise LungSRADError(
                f"{yaml}: the model cannot be built ({type(error).__name__}: {reason}); {CURE}"
            ) from error
    _check_hparams(hparams, yaml, config)
    for name in WEIGHTS:
        check_weights(hparams["modules"][name], folder / f"{name}.ckpt")
    _check_labels(folder / LABEL_ENCODER, config["labels"])
    check_files(folder, config)
    pretrainer = hparams["pretrainer"]
    pretrainer.set_collect_in(None)
    pretrainer.collect_files(default_source=str(folder), fetch_config=FetchConfig(allow_network=False))
    pretrainer.load_collected()
    return hparams


def _check_hparams(hparams, yaml, config):
    for key in ("modules", "pretrainer", "label_encoder", "sample_rate"):
        if key not in hparams:
            raise LungSRADError(f"{yaml}: the key {key!r} is missing; {CURE}")
    for name in EncoderClassifier.MODULES_NEEDED:
        if name not in hparams["modules"]:
            raise LungSRADError(f"{yaml}: modules has no {name!r}; {CURE}")
    features = hparams["modules"]["compute_features"]
    if not isinstance(features, CycleFeatures):
        raise LungSRADError(f"{yaml}: compute_features is {type(features).__name__}, not CycleFeatures; {CURE}")
    loadables = set(hparams["pretrainer"].loadables)
    if loadables != {*WEIGHTS, "label_encoder"} or hparams["pretrainer"].paths:
        raise LungSRADError(
            f"{yaml}: the pretrainer must load {', '.join(WEIGHTS)} and label_encoder from the folder itself; {CURE}"
        )
    found = {
        "sample_rate": hparams["sample_rate"],
        "duration": features.duration,
        "frames": features.fbank.frames,
    }
    for key, value in (*found.items(), ("sample_rate", features.sample_rate)):
        if value != config[key]:
            raise LungSRADError(f"{yaml}: {key} is {value}, but the model was trained with {config[key]} ({CONFIG})")


def _check_labels(path, labels):
    encoder = CategoricalEncoder()
    try:
        encoder.load(path)
        found = [encoder.ind2lab[index] for index in range(len(encoder.ind2lab))]
    except Exception as error:  # of whatever kind the parsing of a wrong file meets
        raise LungSRADError(f"{path}: not a label encoder ({type(error).__name__}: {error}); {CURE}") from None
    if found != labels:
        raise LungSRADError(
            f"{path}: holds the labels {', '.join(map(str, found))}, but the model answers {', '.join(labels)}; {CURE}"
        )


def _local_audio(path, savedir):
    """Return the path of a recording, downloaded first where it is a web address; the latest version of it."""
    if not isinstance(path, FetchSource) and not str(path).startswith(("http:", "https:")):
        return Path(os.fspath(path))
    if savedir is None:
        raise LungSRADError(f"{path}: to classify what is not on this machine, say where to put it: savedir=FOLDER")
    source, name = split_path(path)
    try:
        return fetch(name, source=source, savedir=savedir, fetch_config=FetchConfig(overwrite=True))
    except (ValueError, OSError) as error:
        raise LungSRADError(f"{path}: cannot be fetched ({error}); check the address and the network") from error


def _flaws(stream):
    flaws = stream.checks.flaws()
    if stream.missing_bytes:
        message = f"the file lacks {stream.missing_bytes} bytes of what its header promises: it was cut off"
        flaws += (Flaw("truncated", message),)
    return flaws


def _drop_silent(spans, stream):
    """Return the places of the spans with sound in them, and of those that lie within silence or a constant."""
    scale = stream.sample_rate / stream.native_rate
    stills = [(begin * scale, end * scale) for begin, end, _ in stream.checks.still_runs()]
    heard, left_out = [], []
    for place, (begin, end) in enumerate(spans):
        # One sample of tolerance: the two rates do not share every edge.
        silent = any(start <= begin + 1 and end - 1 <= stop for start, stop in stills)
        (left_out if silent else heard).append(place)
    return heard, left_out
