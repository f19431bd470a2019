"""Data preparation for ICBHI 2017, the Respiratory Sound Database.

Download: https://bhichallenge.med.auth.gr

Authors
 * The Lung-SRAD developers 2026
"""

from lung_srad_plugin import prepare_icbhi as write_manifests

from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)


def prepare_icbhi(
    data_folder, save_folder, split, valid, valid_fraction, skip_prep=False
):
    """Write train.csv, valid.csv and test.csv, a row for each breathing cycle.

    Arguments
    ---------
    data_folder : str
        The unpacked official download.
    save_folder : str
        Where the manifests go.
    split : str
        "official", or "corrected", which leaves out the train recordings of
        the two patients who are in test, too.
    valid : str
        "patients": a patient-disjoint part of train. "test": the test set, as
        in the published protocol, in which it selects the epoch.
    valid_fraction : float
        The share of train that becomes the validation part.
    skip_prep : bool
        True where the manifests are there.

    Returns
    -------
    None

    Example
    -------
    >>> prepare_icbhi(
    ...     "ICBHI", "manifests", "official", "patients", 0.2
    ... )  # doctest: +SKIP
    """
    if skip_prep:
        logger.info("Skipping the data preparation")
        return
    write_manifests(
        data_folder,
        save_folder,
        split=split,
        valid=valid,
        valid_fraction=valid_fraction,
    )
