"""The files of an ablation."""

import json
from pathlib import Path

from lung_srad_plugin.ablation.page import render_ablation
from lung_srad_plugin.ablation.plot import plot_ablation, plot_factors
from lung_srad_plugin.ablation.report import csv_text, markdown
from lung_srad_plugin.reporting.figures import FORMATS, save_figure, save_figures
from lung_srad_plugin.runs.named_tests import ONLY
from lung_srad_plugin.utils.files import write_together

FACTORS = "factors"


def table_files(output, test_set=ONLY):
    """Return the files that ``write_table`` writes: those of the table by their endings, and the figures of factors.

    Arguments
    ---------
    output : str or Path
        The folder.
    test_set : str
        Its name becomes part of theirs, where it has one.
    """
    stem = Path(output) / ("ablation" if test_set == ONLY else f"ablation_{test_set}")
    files = {ending: stem.with_name(f"{stem.name}.{ending}") for ending in ("json", "html", "md", "csv", "png")}
    return files | {f"{FACTORS}.{ending}": stem.with_name(f"{stem.name}_{FACTORS}.{ending}") for ending in FORMATS}


def write_table(table, output, test_set=ONLY):
    """Write ``ablation.html``, ``.md``, ``.csv``, ``.json`` and, where a run is finished, ``ablation.png``.

    Where rows vary one factor alone (``ablation.factors``), the Score over each such factor is drawn too, for a paper:
    ``ablation_factors`` as PNG, PDF and SVG.

    Arguments
    ---------
    table : dict
        As of ``ablation_table``.
    output : str or Path
        The folder.
    test_set : str
        As for ``table_files``.
    """
    files = table_files(output, test_set)
    write_together(
        {
            files["json"]: json.dumps(table, indent=2, ensure_ascii=False) + "\n",
            files["html"]: render_ablation(table),
            files["md"]: markdown(table),
            files["csv"]: csv_text(table),
        }
    )
    if table["selection"]:
        save_figure(plot_ablation(table), files["png"])
        if table["factors"]:
            save_figures(plot_factors(table), files[f"{FACTORS}.png"].with_suffix(""))
