"""What ICBHI 2017 says of itself."""

from lung_srad_plugin.datasets.icbhi.recording_name import PATTERN
from lung_srad_plugin.datasets.record import DataSetRecord

ICBHI = DataSetRecord(
    name="icbhi",
    title="ICBHI 2017 Respiratory Sound Database",
    content="920 recordings of 126 patients, 5.5 h, 6,898 breathing cycles; children and adults",
    citation=(
        "Rocha et al., An open access database for the evaluation of respiratory sound classification algorithms, "
        "Physiological Measurement 40 (2019) 035001"
    ),
    licence="free for research; no formal licence is stated",
    source=(
        "https://bhichallenge.med.auth.gr/ICBHI_2017_Challenge; Kaggle mirror vbookshelf/respiratory-sound-database. "
        "Unpack it and pass the folder"
    ),
    official_split="60/40 by recording: 4,142 train and 2,756 test cycles; patients 156 and 218 are in both",
    sampling_rate="4, 10 or 44.1 kHz",
    labels=("normal", "crackle", "wheeze", "both"),
    label_unit="breathing cycle",
    command="lung-srad prepare",
    name_pattern=PATTERN,
    has_recipe=True,
)
