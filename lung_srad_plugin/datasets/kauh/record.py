"""What KAUH says of itself."""

from lung_srad_plugin.datasets.kauh.recording_name import PATTERN
from lung_srad_plugin.datasets.record import DataSetRecord

KAUH = DataSetRecord(
    name="kauh",
    title="KAUH lung sounds (King Abdullah University Hospital)",
    content="112 subjects, each recorded once and stored under three filters: 336 recordings, 1.6 h; adults",
    citation=(
        "Fraiwan et al., A dataset of lung sounds recorded from the chest wall using an electronic stethoscope, Data "
        "in Brief 35 (2021) 106913"
    ),
    licence="CC BY 4.0",
    source="https://data.mendeley.com/datasets/jwyy9np4gv. Unpack it and pass the folder",
    official_split="none",
    sampling_rate="4 kHz",
    labels=("N", "E W", "I E W", "C", "I C", "Crep", "I C B", "I C E W", "Bronchial"),
    label_unit="recording",
    command="lung-srad prepare-kauh",
    name_pattern=PATTERN,
)
