"""``lung-srad spectrum``: of which model and cycles, and what."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode


def spectrum(
    model: Annotated[str, typer.Argument(help="A model folder, a hub id owner/name, or starter.")],
    manifest: Annotated[Path, typer.Argument(help="CSV of cycles with the model's labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for figures and tables.")] = Path("spectrum"),
    data_root: Annotated[Path | None, typer.Option(help="What {data_root} in the manifest stands for.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option(help="Cycles of this class; may be repeated. All classes if left out.")
    ] = None,
    blocks: Annotated[
        list[str] | None,
        typer.Option(help="STAGE or STAGE.BLOCK, both from 0, such as 2 or 2.3; may be repeated. All if left out."),
    ] = None,
    cycles: Annotated[int, typer.Option(min=1, help="How many cycles, as many of each class.")] = 16,
    second: Annotated[str | None, typer.Option(help="Another model, on the same sheet.")] = None,
    kernel: Annotated[int, typer.Option(help="Smoothing to show where the model has none: positions, odd.")] = 5,
    sigma: Annotated[float, typer.Option(help="Its standard deviation in positions.")] = 3.0,
    padding: Annotated[str, typer.Option(help="What it takes beyond the border: zeros or replicate.")] = "zeros",
    cutoff: Annotated[
        float, typer.Option(help="What counts as a high spatial frequency, in cycles per position.")
    ] = 0.25,
    whole_blocks: Annotated[
        bool, typer.Option("--whole-blocks", help="Measure whole blocks by Jacobian-vector products too; slow.")
    ] = False,
    max_gigabytes: Annotated[float, typer.Option(help="Most memory for the matrices of one block.")] = 2.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Show which spatial frequencies each block of a model passes on, before and after smoothing.

    The curves are of the scan or attention alone, the mean over channels or heads; --whole-blocks measures the rest.
    """
    from lung_srad_plugin.analysis.candidate_blocks import selected_blocks
    from lung_srad_plugin.analysis.spectra import Smoothing
    from lung_srad_plugin.analysis.spectrum_command import SpectrumOptions
    from lung_srad_plugin.analysis.spectrum_command import spectrum as measure

    options = SpectrumOptions(
        data_root=data_root,
        classes=classes or None,
        blocks=blocks or None,
        cycles=cycles,
        second=second,
        smoothing=Smoothing(kernel, sigma, padding),
        cutoff=cutoff,
        whole_blocks=whole_blocks,
        max_bytes=int(max_gigabytes * 2**30),
        device=device,
        trust_code=trust_code,
    )
    for one in measure(model, manifest, output, options):
        print(f"{one.name}: candidates for smoothing, the blocks whose curves have the highest peaks")
        for candidate in selected_blocks(one.candidates):
            print(
                f"  {candidate.stage}.{candidate.block}: peak {candidate.peak:.3f}, among the first of its stage in "
                f"{100 * candidate.share:.0f} % of resamples of the cycles"
            )
    print(output / "blocks.csv")
