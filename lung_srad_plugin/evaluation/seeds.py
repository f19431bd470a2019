"""One experiment over several seeds: mean, deviation and every seed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from lung_srad_plugin.evaluation.cautions import data_cautions, not_comparable, one_answer_cautions, synthetic_cautions
from lung_srad_plugin.evaluation.same_experiment import ExperimentRun, check_same_experiment
from lung_srad_plugin.evaluation.summary import plain
from lung_srad_plugin.evaluation.worst_cycles import describe_worst, mean_table
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.comparison import mean_with_intervals, over_seeds, paired_difference
from lung_srad_plugin.metrics.icbhi_score import confusion_counts
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.table_metrics import compute_class_metrics, compute_metrics, describe_metrics
from lung_srad_plugin.runs.selection import without_outcome
from lung_srad_plugin.utils.provenance import package_versions, source_commit

FEW_SEEDS = 3


def build_seeds_report(
    runs: Sequence[ExperimentRun],
    bootstrap: Bootstrap | None = None,
    harmonic: bool = False,
    against: Mapping[str, PredictionTable] | None = None,
    worst_cycles: int = 0,
) -> dict[str, Any]:
    """Evaluate the runs of one experiment together.

    Arguments
    ---------
    runs : sequence of ExperimentRun
        That differ in their seed alone, on the same cycles.
    bootstrap : Bootstrap, optional
        How the intervals are made.
    harmonic : bool
        As in ``compute_metrics``.
    against : dict, optional
        By name, the ``PredictionTable`` of other models on the same cycles, for paired differences from the mean.
    worst_cycles : int
        How many of the most confident wrong answers of the mean probabilities are in it.

    Returns
    -------
    dict
        Ready for ``json.dumps``. For each rule in ``selections`` the ``epochs`` by seed and, by metric, ``mean``,
        ``sd`` (n - 1), ``values`` by seed, and ``low`` and ``high``, the interval of the mean over these seeds.

    Raises
    ------
    LungSRADError
        Where the runs differ in more than their seed, predictions have no patients, or are not of the same cycles.
    """
    check_same_experiment(runs, "seed")
    runs = sorted(runs, key=lambda run: run.seed)
    bootstrap = bootstrap or Bootstrap()
    source = runs[0].source
    rules = [selection.rule for selection in source.selections]
    by_rule = {rule: {str(run.seed): run.source.selections[i] for run in runs} for i, rule in enumerate(rules)}
    tables = {rule: [selection.table for selection in by_seed.values()] for rule, by_seed in by_rule.items()}
    main = tables[rules[0]]
    support = confusion_counts(main[0].targets, main[0].predicted, len(main[0].labels)).sum(1).tolist()
    others = {f"{rule}-selected": tables[rule] for rule in rules[1:]}
    others |= {name: [table] for name, table in (against or {}).items()}
    shared, own = _split_facts({str(run.seed): {"folder": run.folder.name, **run.source.facts} for run in runs})
    report = {
        "title": source.facts["experiment"],
        "data": source.data,
        "seeds": [run.seed for run in runs],
        "cycles": len(main[0]),
        "patients": len(set(main[0].patients())),
        "labels": list(main[0].labels),
        "support": dict(zip(main[0].labels, support, strict=True)),
        "bootstrap": bootstrap.describe(),
        "selections": [
            _selection(
                rule, by_seed, compute_metrics if rule == rules[0] else compute_class_metrics, bootstrap, harmonic
            )
            for rule, by_seed in by_rule.items()
        ],
        "paired": {
            name: paired_difference(main, other, bootstrap, metrics=compute_class_metrics)
            for name, other in others.items()
        },
        "definitions": {name: asdict(metric) for name, metric in describe_metrics(main[0].labels, harmonic).items()},
        "protocol": source.protocol,
        "of_training": source.of_training,
        "labels_map": source.labels_map,
        "left_out": source.left_out,
        "runs": own,
        "facts": {**shared, "evaluated with": package_versions(), "evaluated at commit": source_commit()},
    }
    if worst_cycles:
        mean = mean_table(main)
        report["worst_cycles"] = describe_worst(mean, worst_cycles, source.stretches, source.without_sound)
    report["cautions"] = _cautions(report, runs, by_rule[rules[0]])
    report["not_comparable"] = not_comparable(source, several_seeds=True)
    return plain(report)


def _selection(rule, by_seed, metrics, bootstrap, harmonic):
    """Return what one rule gives: its epochs, and each metric over seeds with the interval of its mean."""
    any_selection = next(iter(by_seed.values()))
    values = {seed: metrics(selection.table, harmonic=harmonic) for seed, selection in by_seed.items()}
    means = mean_with_intervals([s.table for s in by_seed.values()], bootstrap, harmonic, metrics)
    return {
        "rule": rule,
        "text": without_outcome(any_selection.text),
        "optimistic": any_selection.optimistic,
        "epochs": {seed: selection.epoch for seed, selection in by_seed.items()},
        "measures": {
            name: {
                **asdict(over_seeds({seed: of_seed[name] for seed, of_seed in values.items()})),
                "low": mean.low,
                "high": mean.high,
                "undefined": mean.undefined,
            }
            for name, mean in means.items()
        },
    }


def _split_facts(facts):
    """Return what is the same for all seeds, and by seed what is not."""
    first, *others = facts.values()
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    own = {seed: {key: value for key, value in known.items() if key not in shared} for seed, known in facts.items()}
    return shared, own


def _cautions(report, runs, by_seed):
    notes = {run.seed: list(run.source.protocol.get("notes", ())) for run in runs}
    shared = [note for note in notes[runs[0].seed] if all(note in of_seed for of_seed in notes.values())]
    source = replace(runs[0].source, protocol={**runs[0].source.protocol, "notes": shared})
    cautions = [*synthetic_cautions(source), *source.cautions]
    for seed, selection in by_seed.items():
        table = selection.table
        confusion = confusion_counts(table.targets, table.predicted, len(table.labels)).tolist()
        cautions += one_answer_cautions(f"The model of seed {seed}", table.labels, confusion)
    cautions += [f"Seed {seed}: {note}." for seed, own in notes.items() for note in own if note not in shared]
    if len(by_seed) < FEW_SEEDS:
        cautions.append(f"{len(by_seed)} seeds are few: their standard deviation is hardly known.")
    commits = {run.get("commit") for run in report["runs"].values()}
    if len(commits) > 1:
        cautions.append(f"The runs were made with {len(commits)} versions of the code; Provenance has their commits.")
    return cautions + data_cautions(source, report["patients"], report["support"])
