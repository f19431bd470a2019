"""Manifests of a few real ICBHI cycles, each class in each part, for runs of a few steps."""

from itertools import cycle

from lung_srad_plugin.datasets.manifests import write_manifest
from lung_srad_plugin.labels import CLASSES

PARTS = {"train": 8, "valid": 4, "test": 4}


def write_real_cycles(icbhi_folder, folder):
    """Write ``train.csv``, ``valid.csv`` and ``test.csv``, of patients of their own; return the recordings' folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {part: [] for part in PARTS}
    part_of = {}
    parts = cycle(PARTS)
    for annotation in sorted(icbhi_folder.rglob("[0-9]*_*.txt")):
        recording = annotation.with_suffix(".wav")
        if len(annotation.stem.split("_")) != 5 or not recording.is_file():
            continue
        patient = annotation.stem.split("_")[0]
        if patient not in part_of:
            part_of[patient] = next(parts)
        part = part_of[patient]
        for number, line in enumerate(annotation.read_text().split("\n")):
            values = line.split()
            label = CLASSES[int(values[2]) + 2 * int(values[3])] if len(values) == 4 else None
            wanted = PARTS[part] // len(CLASSES)
            if label is None or sum(row["label"] == label for row in rows[part]) == wanted:
                continue
            start, stop = float(values[0]), float(values[1])
            name = recording.relative_to(icbhi_folder).as_posix()
            times = {"duration": stop - start, "wav": f"{{data_root}}/{name}", "start": start, "stop": stop}
            rows[part].append({"ID": f"{annotation.stem}_{number}", **times, "label": label, "patient": patient})
        if all(len(rows[part]) == count for part, count in PARTS.items()):
            break
    for part, found in rows.items():
        assert len(found) == PARTS[part], f"{part}: only {len(found)} cycles"
        write_manifest(folder / f"{part}.csv", found)
    return icbhi_folder
