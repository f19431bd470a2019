"""What SPRSound says of itself."""

from lung_srad_plugin.datasets.record import DataSetRecord
from lung_srad_plugin.datasets.sprsound.recording_name import PATTERN

SPRSOUND = DataSetRecord(
    name="sprsound",
    title="SPRSound (SJTU Paediatric Respiratory Sound Database)",
    content="2022: 2,683 recordings of 292 children, 8.2 h, 9,089 events; test sets of 2023 to 2025 beside it",
    citation=(
        "Zhang et al., SPRSound: Open-Source SJTU Paediatric Respiratory Sound Database, IEEE Transactions on "
        "Biomedical Circuits and Systems 16 (2022) 867-881"
    ),
    licence="CC BY on IEEE DataPort; its repository holds the text of the GPL-3",
    source=(
        "https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound, folder BioCAS2022 (train2022_wav, train2022_json, "
        "test2022_wav, test2022_json), or IEEE DataPort. Pass the folder; recordings may be wav or flac"
    ),
    official_split=(
        "train (1,949 recordings, 251 patients), test intra (379 recordings of patients who are in train), test inter "
        "(355 recordings of 41 other patients)"
    ),
    sampling_rate="8 kHz",
    labels=("Normal", "Fine Crackle", "Coarse Crackle", "Wheeze", "Rhonchi", "Stridor", "Wheeze+Crackle"),
    label_unit="event; recordings have Normal, CAS, DAS, CAS & DAS or Poor Quality",
    command="lung-srad prepare-sprsound",
    name_pattern=PATTERN,
    has_recipe=True,
)
