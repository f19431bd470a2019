"""A baseline without a network: a random forest on statistics of the log-mel features of each cycle, over seeds.

    pip install "lung-srad[bench]"
    python recipes/ICBHI/forest_baseline.py ICBHI --seeds 1 2 3 4 5

It prepares the manifests as training does, trains on the train cycles alone (validation is not used: nothing is
selected), and prints each seed's test scores, then their mean with the interval of 10,000 resamples of patients.
"""

import argparse
import tempfile
from itertools import groupby
from pathlib import Path

import numpy as np

from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.datasets.icbhi.prepare import prepare_icbhi
from lung_srad_plugin.datasets.manifests import read_manifest
from lung_srad_plugin.evaluation.manifest_table import join_rows
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.comparison import mean_with_intervals
from lung_srad_plugin.metrics.table_metrics import compute_metrics
from lung_srad_plugin.reporting.pages import format_interval

SHOWN = {
    "specificity": "%",
    "sensitivity_strict_class": "%",
    "score_strict_class": "%",
    "score_any_abnormal": "%",
    "auroc_abnormal": "",
    "auroc_crackle": "",
    "auroc_wheeze": "",
}


def main():
    """Prepare, compute the statistics, train and test a forest for each seed, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_folder", help="ICBHI 2017, unpacked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="of the forests")
    parser.add_argument("--trees", type=int, default=500, help="of each forest")
    parser.add_argument("--split", choices=["official", "corrected"], default="official")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_icbhi(arguments.data_folder, folder, split=arguments.split)
        rows = {
            part: read_manifest(Path(folder) / f"{part}.csv", data_root=prepared.data_root)
            for part in ("train", "test")
        }
    statistics = {part: compute_statistics(rows[part]) for part in rows}
    tables = [fit_forest(rows, statistics, arguments.trees, seed) for seed in arguments.seeds]
    print(f"{len(rows['train'])} train and {len(rows['test'])} test cycles, {arguments.trees} trees")
    print("seed   " + "  ".join(SHOWN))
    for seed, table in zip(arguments.seeds, tables, strict=True):
        values = compute_metrics(table)
        print(f"{seed:<7}" + "  ".join(f"{values[name]:<{len(name)}.{1 if SHOWN[name] else 3}f}" for name in SHOWN))
    means = mean_with_intervals(tables)
    for name, unit in SHOWN.items():
        print(f"mean {name}: {format_interval(vars(means[name]), unit)}")


def compute_statistics(rows):
    """Return, for each cycle, mean, deviation, tenth and ninetieth percentile of each log-mel band over time."""
    features = CycleFeatures(frames=None)
    found = {}
    for wav, cycles in groupby(sorted(rows, key=lambda row: row["wav"]), key=lambda row: row["wav"]):
        recording = features.prepare(load_recording(wav, features.sample_rate), name=wav)
        for row in cycles:
            cycle = features.cut(recording, row["start"], row["stop"], name=wav)
            bands = features.fbank(cycle[None])[0].numpy()  # (frames, bands)
            parts = [bands.mean(0), bands.std(0), *np.percentile(bands, [10, 90], axis=0)]
            found[row["ID"]] = np.concatenate(parts)
    return np.stack([found[row["ID"]] for row in rows])


def fit_forest(rows, statistics, trees, seed):
    """Return the table of a forest's predictions for the test cycles."""
    from sklearn.ensemble import RandomForestClassifier

    index = {label: number for number, label in enumerate(CLASSES)}
    forest = RandomForestClassifier(trees, class_weight="balanced_subsample", n_jobs=-1, random_state=seed)
    forest.fit(statistics["train"], [index[row["label"]] for row in rows["train"]])
    probabilities = np.zeros((len(rows["test"]), len(CLASSES)))
    probabilities[:, forest.classes_] = forest.predict_proba(statistics["test"])
    with np.errstate(divide="ignore"):  # no tree votes for a class: log-probability minus infinity
        return join_rows(rows["test"], np.log(probabilities), CLASSES)


if __name__ == "__main__":
    main()
