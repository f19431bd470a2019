"""Predictions to evaluate in tests: drawn, better than chance, with all metadata."""

import numpy as np

from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.predictions import make_table


def draw_table(seed=0, cycles=240, patients=12, labels=CLASSES, skill=1.5, prefix="c"):
    """Return a table whose targets are the same for every skill."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, len(labels), cycles)
    patient = rng.integers(0, patients, cycles)
    logits = rng.normal(size=(cycles, len(labels))) + skill * np.eye(len(labels))[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    metadata = {
        "patient": [f"p{number}" for number in patient],
        "device": [("Meditron", "Litt3200", "<b>&")[number % 3] for number in patient],
        "location": [("Al", "Tc")[number % 2] for number in range(cycles)],
        "age": ["" if number == 0 else 5 * number for number in patient],
        "sex": ["FM"[number % 2] for number in patient],
        "diagnosis": [("COPD", "Healthy")[number % 2] for number in patient],
        "duration": rng.uniform(0.5, 6, cycles).round(3),
    }
    ids = [f"{prefix}{number:04d}" for number in range(cycles)]
    return make_table(ids, [labels[target] for target in targets], probabilities, labels, metadata)
