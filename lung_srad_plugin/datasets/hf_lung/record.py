"""What HF_Lung says of itself."""

from lung_srad_plugin.datasets.hf_lung.recording_name import PATTERN
from lung_srad_plugin.datasets.record import DataSetRecord

HF_LUNG = DataSetRecord(
    name="hf_lung",
    title="HF_Lung V1 and V2",
    content="V1: 9,765 recordings of 15 s; V2, which holds V1: 13,957. Adults; patients are not stated",
    citation=(
        "Hsu et al., Benchmarking of eight recurrent neural network variants for breath phase and adventitious sound "
        "detection on a self-developed open-access lung sound database - HF_Lung_V1, PLoS ONE 16 (2021) e0254134; "
        "Hsu et al., A progressively expanded database for automated lung sound analysis: an update, Applied Sciences "
        "12 (2022) 7623"
    ),
    licence="V1: CC BY 4.0. What V2 adds (HF_Lung_V1_IP): CC BY-NC 4.0",
    source=(
        "https://gitlab.com/techsupportHF/HF_Lung_V1 and, for V2, https://gitlab.com/techsupportHF/HF_Lung_V1_IP "
        "beside it. Unpack them and pass the folder"
    ),
    official_split="folders train and test: V1 7,809 and 1,956 recordings, V2 10,554 and 3,403",
    sampling_rate="4 kHz",
    labels=("I", "E", "D", "Wheeze", "Stridor", "Rhonchi"),
    label_unit="interval: breath phases I and E, adventitious sounds D (crackles), Wheeze, Stridor, Rhonchi",
    command="lung-srad prepare-hf-lung",
    name_pattern=PATTERN,
)
