"""``lung-srad spectrum``: the spectra of a model, or of two on one sheet, for some cycles of a manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.analysis.candidate_blocks import rank_blocks
from lung_srad_plugin.analysis.cycles import AnalysedModel, cycle_features, select_cycles
from lung_srad_plugin.analysis.feature_spectra import CUTOFF
from lung_srad_plugin.analysis.spectra import Smoothing, measure_spectra
from lung_srad_plugin.analysis.spectrum_tables import (
    ModelSpectra,
    blocks_csv,
    curves_csv,
    cycles_csv,
    whole_blocks_csv,
)
from lung_srad_plugin.datasets.manifests import validate_manifest
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.starter_model import model_path
from lung_srad_plugin.reporting.figures import FORMATS, save_figures
from lung_srad_plugin.utils.files import refuse_foreign_files, write_together
from lung_srad_plugin.utils.progress import progress_bars

FIGURES = ("stages", "blocks", "depth")
TABLES = ("curves.csv", "blocks.csv", "cycles.csv")
WHOLE = "whole_blocks"


@dataclass(frozen=True)
class SpectrumOptions:
    """What is measured.

    Arguments
    ---------
    data_root : str or Path, optional
        What ``{data_root}`` in the manifest stands for.
    classes : sequence of str, optional
        Labels of the cycles; all of the model by default.
    blocks : sequence of str, optional
        As for ``mixing_layers``.
    cycles : int
        How many.
    second : str or Path, optional
        Another model for the same sheet.
    smoothing : Smoothing, optional
        For blocks that a model does not smooth itself; by default the paper's.
    cutoff : float
        Of retention and energy, in cycles per position.
    whole_blocks : bool
        Measure whole blocks too.
    max_bytes : int
        As for ``measure_spectra``.
    device : str, optional
    trust_code : bool
        As for ``LungSoundClassifier.from_hparams``.
    """

    data_root: str | Path | None = None
    classes: Sequence[str] | None = None
    blocks: Sequence[str] | None = None
    cycles: int = 16
    second: str | Path | None = None
    smoothing: Smoothing | None = None
    cutoff: float = CUTOFF
    whole_blocks: bool = False
    max_bytes: int = 2 * 2**30
    device: str | None = None
    trust_code: bool = False


def spectrum(
    model: str | Path, manifest: str | Path, output: str | Path, options: SpectrumOptions | None = None
) -> list[ModelSpectra]:
    """Measure the spectra of a model's blocks and write figures and tables.

    Arguments
    ---------
    model : str or Path
        A model folder, a hub id, or ``starter``.
    manifest : str or Path
        CSV of cycles with the model's labels.
    output : str or Path
        Folder for ``stages``, ``blocks`` and ``depth``, each as PNG, PDF and SVG, and for ``curves.csv``,
        ``blocks.csv`` and ``cycles.csv``; with whole blocks also ``whole_blocks``.
    options : SpectrumOptions, optional

    Returns
    -------
    list of ModelSpectra
        Of the model, and of the second one where there is one.

    Raises
    ------
    LungSRADError
        Where a model cannot be loaded or has nothing that mixes positions, a block does not exist, the manifest is
        faulty or has other labels, a class has no cycle, more memory would be needed, or a file would be overwritten
        that this command did not write.
    """
    options = options or SpectrumOptions()
    output = Path(output)
    figures = [*FIGURES, *([WHOLE] if options.whole_blocks else [])]
    tables = [*TABLES, *([f"{WHOLE}.csv"] if options.whole_blocks else [])]
    refuse_foreign_files(
        [*(output / name for name in tables), *(output / f"{name}.{end}" for name in figures for end in FORMATS)]
    )
    models = [
        load_analysed(source, options.device, options.trust_code)
        for source in (model, options.second)
        if source is not None
    ]
    listed = validate_manifest(manifest, models[0].labels, options.data_root).rows
    unknown = [name for name in options.classes or () if name not in models[0].labels]
    if unknown:
        raise LungSRADError(f"classes {', '.join(unknown)}: the model's are {', '.join(models[0].labels)}")
    there = {row["label"] for row in listed}
    classes = options.classes or [name for name in models[0].labels if name in there]
    rows = select_cycles(listed, options.cycles, classes)
    if len(models) == 2 and models[0].name == models[1].name:
        models[1] = models[1]._replace(name=f"{models[1].name} (second)")
    spectra = [_measure(one, rows, options) for one in models]
    contents = {
        output / "curves.csv": curves_csv(spectra),
        output / "blocks.csv": blocks_csv(spectra),
        output / "cycles.csv": cycles_csv(rows),
    }
    if options.whole_blocks:
        contents[output / f"{WHOLE}.csv"] = whole_blocks_csv(spectra)
    write_together(contents)
    _draw(spectra, output, options)
    return spectra


def load_analysed(source: str | Path, device: str | None = None, trust_code: bool = False) -> AnalysedModel:
    """Load a model folder, or what else names a model, for analysis.

    Raises
    ------
    LungSRADError
        As ``LungSoundClassifier.from_hparams``.
    """
    run_opts = None if device is None else {"device": device}
    classifier = LungSoundClassifier.from_hparams(source=model_path(source), run_opts=run_opts, trust_code=trust_code)
    parts = classifier.mods
    return AnalysedModel(
        classifier.model_id, parts.compute_features, parts.mean_var_norm, parts.embedding_model, classifier.labels
    )


def _measure(model, rows, options):
    with progress_bars() as bars:
        task = bars.add_task(model.name, total=len(rows))
        blocks = measure_spectra(
            model.encoder,
            cycle_features(model, rows),
            options.blocks,
            options.smoothing,
            options.cutoff,
            options.whole_blocks,
            options.max_bytes,
            progress=lambda: bars.advance(task),
        )
    return ModelSpectra(model.name, model.features.duration, model.features.fbank.n_mels, blocks, rank_blocks(blocks))


def _draw(spectra, output, options):
    from lung_srad_plugin.analysis import spectrum_figures as figures

    save_figures(figures.plot_stages(spectra), output / "stages")
    save_figures(figures.plot_blocks(spectra), output / "blocks")
    save_figures(figures.plot_depth(spectra, options.cutoff), output / "depth")
    if options.whole_blocks:
        save_figures(figures.plot_whole_blocks(spectra), output / WHOLE)
