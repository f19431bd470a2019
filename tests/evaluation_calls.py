"""The two evaluation commands with their options as keywords, and few resamples."""

from lung_srad_plugin.evaluation import command
from lung_srad_plugin.evaluation.options import EvaluationOptions
from lung_srad_plugin.metrics.bootstrap import Bootstrap


def evaluate(source, output, manifest=None, resamples=20, **options):
    return command.evaluate(source, output, _options(manifest, resamples, options))


def evaluate_runs(runs, output, manifest=None, resamples=20, **options):
    return command.evaluate_runs(runs, output, _options(manifest, resamples, options))


def _options(manifest, resamples, options):
    return EvaluationOptions(manifest=manifest, bootstrap=Bootstrap(resamples), **options)
