"""Manifests to SpeechBrain data sets."""

from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import provides, takes


def make_dataset(rows, feature_cache, label_encoder, teacher=None):
    """Return a ``DynamicItemDataset`` with ``id``, ``feats`` (T, F) and ``target`` (an index) of each cycle.

    Arguments
    ---------
    rows : list of dict
        Rows of a manifest with ``ID``, ``wav``, ``start``, ``stop`` and ``label``.
    feature_cache : FeatureCache
        What turns a cycle into features.
    label_encoder : CategoricalEncoder
        What turns a label into an index.
    teacher : TeacherTable, optional
        Adds ``teacher`` (E,), its embedding of each cycle.
    """

    @takes("wav", "start", "stop")
    @provides("feats")
    def features(wav, start, stop):
        return feature_cache(wav, start, stop)

    @takes("label")
    @provides("target")
    def target(label):
        return label_encoder.encode_label(label, allow_unk=False)

    data = {row["ID"]: {key: row[key] for key in ("wav", "start", "stop", "label")} for row in rows}
    if teacher is None:
        return DynamicItemDataset(data, [features, target], ["id", "feats", "target"])

    @takes("wav", "start", "stop")
    @provides("teacher")
    def embedding(wav, start, stop):
        return teacher({"wav": wav, "start": start, "stop": stop})

    return DynamicItemDataset(data, [features, target, embedding], ["id", "feats", "target", "teacher"])
