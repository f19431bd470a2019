"""What the model behind the page is, and what it is not, in plain words and from its card."""

import re

from lung_srad_plugin.datasets.synthetic.marker import TRAINED_ON_SYNTHETIC
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import CARD, read_card
from lung_srad_plugin.export.novelty_file import describe_missing
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.utils.text import markdown_text

_SECTIONS = ("Input", "Training and selection", "Scores", "Intended use", "Out of scope", "Limits")


def describe_model(classifier: LungSoundClassifier) -> str:
    """Return Markdown: what the model does, what it was trained on, and what no answer of it means.

    Arguments
    ---------
    classifier : LungSoundClassifier
    """
    config = classifier.config
    sets = (config.training_sets if config is not None else None) or ()
    trained = "; ".join(f"{one.patients} patients of {markdown_text(one.title)}" for one in sets)
    lines = [
        f"**It is** a model that gives each stretch of a recording of lung sounds a probability of "
        f"{', '.join(map(markdown_text, classifier.labels))}. It hears {classifier.window:g} s at once, up to "
        f"{classifier.sample_rate / 2:,.0f} Hz.",
        f"**It has learned from** {trained}." if trained else "**What it has learned from** its folder does not name.",
        "**It is not** a medical device. It was not made, tested or approved for diagnosis, triage or treatment, and "
        "no result is advice about a patient.",
        "**It cannot tell** whether a file is a recording of a lung: any sound gets a class. "
        + (
            f"It has no detector of sounds unlike its training sounds: {markdown_text(describe_missing(config))}."
            if classifier.novelty is None
            else "Sounds that move unlike the training sounds are marked; others may still be no lung sounds."
        ),
        "**It does not carry over** to other stethoscopes, places on the chest, ages and diseases than those it has "
        "learned from; scores on one data set say little about another.",
    ]
    if classifier.trained_on_synthetic:
        lines.insert(1, f"**{TRAINED_ON_SYNTHETIC}.**")
    return "\n\n".join(lines)


def card_sections(classifier: LungSoundClassifier) -> str:
    """Return the sections of the model's card that a reader of results needs, as Markdown; blank where it has no card.

    Pictures become links and HTML becomes text, so that a page with it loads nothing from elsewhere.

    Arguments
    ---------
    classifier : LungSoundClassifier
    """
    if classifier.folder is None or not (classifier.folder / CARD).is_file():
        return ""
    try:
        card = read_card(classifier.folder)
    except LungSRADError as error:
        return markdown_text(str(error))
    parts = re.split(r"^## (.+)$", card, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    text = "\n\n".join(f"### {name}\n\n{sections[name].strip()}" for name in _SECTIONS if name in sections)
    return text.replace("![", "[").replace("<", "&lt;")
