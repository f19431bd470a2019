"""The files of an ablation."""

import json
from pathlib import Path

from lung_srad_plugin.ablation.page import render_ablation
from lung_srad_plugin.ablation.plot import plot_ablation
from lung_srad_plugin.ablation.report import csv_text, markdown
from lung_srad_plugin.reporting.figures import save_figure
from lung_srad_plugin.utils.files import write_together


def table_files(output):
    """Return the files that ``write_table`` writes.

    Arguments
    ---------
    output : str or Path
        The folder.
    """
    return [Path(output) / f"ablation.{ending}" for ending in ("json", "html", "md", "csv", "png")]


def write_table(table, output):
    """Write ``ablation.html``, ``.md``, ``.csv``, ``.json`` and, where a run is finished, ``ablation.png``.

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
