"""CSV manifests, one row a breathing cycle: written whole, read back, and validated before anything trains on them.

A manifest is UTF-8 without a byte order mark, separated by commas, with a header. ``ID``, ``duration``, ``wav``,
``start``, ``stop`` and ``label`` are required; further columns are free, and ``patient`` is used where it is there. The
``wav`` column holds absolute paths or begins with ``{data_root}`` (``$data_root``, as SpeechBrain writes it, is the
same), which is replaced when the manifest is read. Rows are counted from 1, the header being row 1.
"""

from lung_srad_plugin.datasets.manifests.cutting import cut_manifest
from lung_srad_plugin.datasets.manifests.joining import join_manifests
from lung_srad_plugin.datasets.manifests.reading import REQUIRED, read_manifest
from lung_srad_plugin.datasets.manifests.validating import (
    ManifestsSummary,
    ManifestSummary,
    PartsSummary,
    validate_manifest,
    validate_manifests,
    validate_parts,
)
from lung_srad_plugin.datasets.manifests.writing import format_manifest, write_manifest

__all__ = [
    "REQUIRED",
    "ManifestSummary",
    "ManifestsSummary",
    "PartsSummary",
    "cut_manifest",
    "format_manifest",
    "join_manifests",
    "read_manifest",
    "validate_manifest",
    "validate_manifests",
    "validate_parts",
    "write_manifest",
]
