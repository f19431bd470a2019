"""``lung-srad push``: a model folder to the Hugging Face hub, after showing what goes and asking."""

import sys
from typing import Annotated

import typer

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import printable


def push(
    model: Annotated[
        str,
        typer.Argument(help="A folder that lung-srad export wrote, or starter: the model that comes with lung-srad."),
    ],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where on the Hugging Face hub it shall be.")],
    public: Annotated[
        bool | None,
        typer.Option(
            "--public/--private",
            help="Who shall see it. If left out, a new repository is private, and one that exists stays as it is.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking: for scripts.")] = False,
):
    """Send a model to the Hugging Face hub, after showing what goes where and asking.

    Files that the export did not write are never sent. The account is that of: hf auth login.

    Example: lung-srad push results/lung_srad/1/export jane/lung-sounds
    """
    from lung_srad_plugin.export.push import plan_push, send
    from lung_srad_plugin.inference.starter_model import model_path

    plan = plan_push(model_path(model), repository, None if public is None else not public)
    _show(plan)
    if not plan.changes:
        print("nothing to send: the hub has all of it")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise LungSRADError(
                f"{plan.repository}: nothing was sent, as nobody can be asked here; add --yes to send what is listed"
            )
        if not typer.confirm("Send this?", default=False):
            raise LungSRADError(f"{plan.repository}: nothing was sent")
    print(printable(send(plan)))
    print(f'load it with: LungSoundClassifier.from_hparams("{plan.repository}")')


def _show(plan) -> None:
    """Print what a push would do."""
    owner = plan.repository.split("/")[0]
    readers = "only you can see it" if owner == plan.account else f"only members of {owner} can see it"
    visible = f"private: {readers}" if plan.private else "public: everybody sees it"
    state = "is there" if plan.exists else "is made"
    print(f"{plan.config.model}, from {printable(plan.folder)}")
    print(f"to {plan.address}  ({visible}; the repository {state}; your account: {printable(plan.account)})")
    print(f"licence: {printable(plan.licence)}")
    for one in plan.config.training_sets or ():
        print(f"trained on: {printable(one.title)}; licence: {printable(one.licence or 'not known')}")
    for file in plan.files:
        print(f"  {file.change:<9}  {file.size:>13,} bytes  {printable(file.name)}")
    if plan.left:
        print(f"stays here, as the export did not write it: {', '.join(plan.left)}")
    for remark in plan.remarks:
        print(f"note: {printable(remark)}")
