"""The page of ``lung-srad serve``: recordings in; table, picture, sound, findings, annotation and files out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from lung_srad_plugin.serving.page_downloads import DOWNLOADS
from lung_srad_plugin.serving.page_events import HIDDEN, PageEvents, Visit
from lung_srad_plugin.serving.page_model import card_sections, describe_model
from lung_srad_plugin.serving.service import ClassificationService

STATIC = Path(__file__).parent / "static"
INTRODUCTION = """
<div><h1>Lung-SRAD: lung sounds, classified</h1>
<p class="research"><b>Research use only. This is not a medical device</b>, and no result is advice about a patient.</p>
<p class="soft">Files go to the program that serves this page and nowhere else; it removes them when you close the page,
and after a while without use.</p></div>
"""
DROP = """
<div><p class="soft">Drop one or several recordings: WAV, FLAC, MP3, M4A, OGG and others, each of at most
{megabytes:g} MB and {seconds:g} s. To compare with an annotation, drop its file too, under the same name: ICBHI,
Audacity or Raven (.txt), SPRSound (.json), Praat (.TextGrid).</p><div class="too-large" role="alert"></div></div>
"""
# Browsers tell a page that is neither encrypted nor on this machine nothing about a microphone.
INSECURE = """
<p class="insecure warning"><b>No microphone here.</b> Browsers lend it only to pages on this machine (http://localhost)
and to encrypted ones (https), and this one is neither. Record with another program and drop the file.</p>
"""
# The recording whose row was clicked may lie below the window.
SCROLL = """() => {
  const heading = document.querySelector('#lung-detail h2');
  if (heading?.getBoundingClientRect().top > 0.6 * window.innerHeight) heading.scrollIntoView({ behavior: 'smooth' });
}"""
WATCH_ENCRYPTION = "if (!window.isSecureContext) element.closest('.lung')?.classList.add('unencrypted');"


def page_look() -> dict[str, Any]:
    """Return the arguments of ``gradio.mount_gradio_app`` for the look of the page; it loads no font from elsewhere."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    theme = gr.themes.Default(
        primary_hue="sky", neutral_hue="slate", font=fonts, font_mono=["ui-monospace", "Consolas", "monospace"]
    )
    return {"theme": theme, "css": (STATIC / "page.css").read_text(encoding="utf-8")}


def build_page(service: ClassificationService) -> gr.Blocks:
    """Return the page.

    Arguments
    ---------
    service : ClassificationService
        It does all the work, within its limits.
    """
    with gr.Blocks(title="Lung-SRAD", analytics_enabled=False, fill_width=True) as blocks:
        page = PageEvents(service, Path(blocks.GRADIO_CACHE))
        limits = service.limits
        gr.HTML(INTRODUCTION, elem_classes="lung")
        with gr.Tabs():
            with gr.Tab("Files"):
                gr.HTML(
                    DROP.format(megabytes=limits.megabytes, seconds=limits.seconds),
                    elem_classes="lung",
                    js_on_load=_static("limits.js"),
                    bytes=limits.bytes,
                )
                files = gr.File(
                    label="Recordings and annotations", file_count="multiple", height=150, elem_id="lung-files"
                )
            with gr.Tab("Microphone"):
                gr.HTML(INSECURE, elem_classes="lung", js_on_load=WATCH_ENCRYPTION)
                spoken = gr.Audio(
                    sources=["microphone"],
                    type="filepath",
                    format="wav",
                    label="Record some breaths, then stop",
                    buttons=[],
                    elem_id="lung-microphone",
                )
        overview = gr.HTML(elem_id="lung-overview", elem_classes="lung", js_on_load=_static("overview.js"))
        table_file = gr.DownloadButton("All recordings as CSV", visible=HIDDEN, size="sm", elem_id="lung-all")
        with gr.Column(elem_id="lung-detail"):
            heading = gr.HTML(elem_classes="lung")
            sound = gr.Audio(
                label="Sound",
                type="filepath",
                interactive=False,
                buttons=[],
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
                elem_id="lung-sound",
            )
            recording = gr.HTML(elem_id="lung-recording", elem_classes="lung", js_on_load=_static("recording.js"))
            with gr.Row():
                explain = gr.Button(
                    "Show where P(abnormal) comes from",
                    size="sm",
                    visible=page.method is not None,
                    elem_id="lung-explain",
                )
            gr.HTML('<h3 class="downloads">Download the result</h3>', elem_classes="lung")
            with gr.Row(elem_id="lung-downloads"):
                downloads = [gr.DownloadButton(one.title, size="sm", min_width=90) for one in DOWNLOADS]
        with gr.Accordion("What this model is, and what it is not", open=False, elem_id="lung-model"):
            gr.Markdown(describe_model(service.classifier))
            card = card_sections(service.classifier)
            if card:
                with gr.Accordion("From its card", open=False):
                    gr.Markdown(card)
        visit, wanted, pixels = gr.State(Visit()), gr.State(""), gr.Number(1200, visible=False)
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": HIDDEN}
        blocks.load(None, None, pixels, js="() => window.innerWidth", api_visibility="private")
        taken = gr.on(
            [files.change, spoken.change],
            page.take,
            [files, spoken, visit],
            [overview, wanted],
            trigger_mode="always_last",
            # Each waits for its turn at the service, where those of several visitors alternate.
            concurrency_limit=limits.at_work + limits.waiting,
            **quiet,
        )
        taken.then(page.table, visit, table_file, **quiet)
        overview.select(page.choose, visit, [overview, wanted], **quiet).then(js=SCROLL, **quiet)
        wanted.change(
            page.show,
            [visit, pixels],
            [heading, sound, recording, *downloads],
            trigger_mode="always_last",
            api_visibility="private",
            show_progress="full",
            show_progress_on=recording,
        )
        explain.click(page.explain, [visit, pixels], recording, api_visibility="private", show_progress="full")
        blocks.unload(page.leave)
    return blocks


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
