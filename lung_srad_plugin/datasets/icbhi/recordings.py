"""Pairs recordings with annotations and examines both, without decoding any audio."""

import filecmp
from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.datasets.folder import audio_seconds, equal_files
from lung_srad_plugin.datasets.icbhi.annotation import fit_to_audio, parse_annotation
from lung_srad_plugin.datasets.icbhi.layout import Layout
from lung_srad_plugin.datasets.icbhi.recording_name import FORM, NameIndex, RecordingName, is_recording_name, parse_name
from lung_srad_plugin.datasets.problems import Problem
from lung_srad_plugin.utils.progress import track


@dataclass(frozen=True)
class Recording:
    """A recording that can be used.

    Arguments
    ---------
    name : RecordingName
        The parts of its audio file's name.
    wav : pathlib.Path
        The audio.
    annotation : pathlib.Path
        The annotation; its name may state another device.
    cycles : list of Cycle
        In time order, all within the audio.
    """

    name: RecordingName
    wav: Path
    annotation: Path
    cycles: list


def read_recordings(layout: Layout, quiet: bool = False) -> tuple[dict[str, Recording], list[str], list[Problem]]:
    """Examine all recordings and annotations of a data folder.

    Headers and annotations are read; audio is compared only where two files have the same size.

    Arguments
    ---------
    layout : Layout
        Where the files are.
    quiet : bool
        Show no progress bar.

    Returns
    -------
    recordings : dict
        Name to Recording: those that can be used.
    names : list of str
        Names of all recordings, those that cannot be used among them, sorted.
    problems : list of Problem
        What is left out of ``recordings``, and why.
    """
    wavs, doubtful_wavs, problems = _by_name(layout, layout.wavs)
    annotations, doubtful_annotations, found = _by_name(layout, layout.annotations)
    same, same_problems = _same_content(layout, wavs)
    problems += found + same_problems
    unusable = doubtful_wavs | doubtful_annotations | same
    pairs = _pair(wavs, annotations)
    recordings = {}
    for name, (wav, annotation) in track(list(pairs.items()), "Reading recordings", show=not quiet):
        seconds = cycles = None
        if wav is None:
            message = f"annotation without its recording {name}.wav"
            group = "{count} annotations have no .wav beside them"
            problems.append(Problem(layout.relative(annotation), message, left_out="recording", group=group))
        else:
            seconds, fault = audio_seconds(wav)
            if fault:
                problems.append(Problem(layout.relative(wav), fault, left_out="recording"))
        if annotation is None:
            message = f"recording without its annotation {name}.txt"
            group = "{count} recordings have no .txt beside them"
            problems.append(Problem(layout.relative(wav), message, left_out="recording", group=group))
        else:
            cycles, found = _read_cycles(annotation, layout.relative(annotation), seconds)
            problems += found
        if seconds and cycles and name not in unusable and annotation.stem not in unusable:
            recordings[name] = Recording(parse_name(name), wav, annotation, cycles)
    return recordings, sorted(pairs), problems


def _by_name(layout, paths):
    """Name to file, the first where there are several; the names for which these differ; the problems."""
    groups, doubtful, problems = {}, set(), []
    for path in paths:
        if is_recording_name(path.stem):
            groups.setdefault(path.stem, []).append(path)
        else:
            message = f"the name is not of the ICBHI form; expected {FORM}"
            problems.append(Problem(layout.relative(path), message, left_out="recording"))
    for name, (first, *others) in groups.items():
        equal = all(filecmp.cmp(first, other, shallow=False) for other in others)
        if not equal:
            doubtful.add(name)
        for other in others:
            what = "the same content" if equal else "other content"
            message = f"duplicate: {layout.relative(first)} has the same name and {what}"
            group = f"{{count}} files have the name of another file and {what}"
            left_out = "copy" if equal else "recording"
            problems.append(Problem(layout.relative(other), message, left_out=left_out, group=group))
    return {name: group[0] for name, group in sorted(groups.items())}, doubtful, problems


def _same_content(layout, wavs):
    """The names of recordings whose files are equal, and the problems."""
    same, problems = set(), []
    for first, *others in equal_files(wavs.values()):
        same.update(path.stem for path in (first, *others))
        for other in others:
            message = f"duplicate: {layout.relative(first)} has the same content under another name"
            group = "{count} recordings have the content of another recording"
            problems.append(Problem(layout.relative(other), message, left_out="both recordings", group=group))
    return same, problems


def _pair(wavs, annotations):
    """Name to (recording, annotation), either of them possibly ``None``.

    Names are joined in full first; what remains on both sides is joined without the device.
    """
    pairs = {name: (path, annotations.get(name)) for name, path in wavs.items()}
    rest_of_wavs = NameIndex(set(wavs) - set(annotations))
    rest_of_annotations = NameIndex(set(annotations) - set(wavs))
    for name in sorted(rest_of_annotations.names):
        partner = rest_of_wavs.find(name)
        if partner and rest_of_annotations.find(partner) == name:
            pairs[partner] = (wavs[partner], annotations[name])
        else:
            pairs[name] = (None, annotations[name])
    return dict(sorted(pairs.items()))


def _read_cycles(path, file, seconds):
    """The cycles of an annotation that lie within the audio, where its length is known, and the problems."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return [], [Problem(file, "is not text in UTF-8", left_out="recording")]
    except OSError as error:
        return [], [Problem(file, f"cannot be opened: {error.strerror}", left_out="recording")]
    cycles, problems = parse_annotation(text, file)
    if seconds is not None:
        cycles, beyond = fit_to_audio(cycles, seconds, file)
        problems += beyond
    return cycles, problems
