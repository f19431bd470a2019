"""The files of an ablation."""

import json
from pathlib import Path

from lung_srad_plugin.ablation.page import render_ablation
from lung_srad_plugin.ablation.plot import plot_ablation, plot_factors
from lung_srad_plugin.ablation.report import csv_text, markdown
from lung_srad_plugin.reporting.figures import FORMATS, save_figure, save_figures
from lung_srad_plugin.utils.files import write_together

FACTORS = "ablation_factors"


def table_files(output):
    """Return the files that ``write_table`` writes.

    Arguments
    ---------
    output : str or Path
        The folder.
    """
    endings = ("json", "html", "md", "csv", "png")
    names = [*(f"ablation.{ending}" for ending in endings), *(f"{FACTORS}.{ending}" for ending in FORMATS)]
    return [Path(output) / name for name in names]


def write_table(table, output):
    """Write ``ablation.html``, ``.md``, ``.csv``, ``.json`` and, where a run is finished, ``ablation.png``.

    Where rows vary one factor alone (``ablation.factors``), the Score over each such factor is drawn too, for a paper:
    ``ablation_factors`` as PNG, PDF and SVG.

    Arguments
    ---------
    table : dict
        As of ``ablation_table``.
    output : str or Path
        The folder.
    """
    output = Path(output)
    write_together(
        {
            output / "ablation.json": json.dumps(table, indent=2, ensure_ascii=False) + "\n",
            output / "ablation.html": render_ablation(table),
            output / "ablation.md": markdown(table),
            output / "ablation.csv": csv_text(table),
        }
    )
    if table["selection"]:
        save_figure(plot_ablation(table), output / "ablation.png")
        if table["factors"]:
            save_figures(plot_factors(table), output / FACTORS)
