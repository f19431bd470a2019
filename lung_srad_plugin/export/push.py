"""Pushing: what of a model folder would go to the Hugging Face hub and what it would change there, and sending it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import get_token
from huggingface_hub.utils.sha import git_hash

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.machine_paths import find_machine_paths
from lung_srad_plugin.export.model_config import ModelConfig
from lung_srad_plugin.export.model_folder import (
    CARD,
    LICENSE,
    NEEDED,
    ONNX,
    WEIGHTS,
    check_files,
    read_card,
    read_config,
)
from lung_srad_plugin.export.novelty_file import NOVELTY
from lung_srad_plugin.utils.files import files_by_record
from lung_srad_plugin.utils.hub import LOG_IN, check_hub_id, describe_hub_error
from lung_srad_plugin.utils.provenance import file_sha256
from lung_srad_plugin.utils.text import printable

TIMEOUT = 30.0  # seconds for the hub to answer the question what it has

# What exports write: of these, what an earlier push left on the hub and this folder lacks is removed there. A loader
# would else mix two models.
MODEL_FILES = frozenset({*NEEDED, *(f"{name}.safetensors" for name in WEIGHTS), CARD, LICENSE, ONNX, NOVELTY})

NEW, CHANGED, UNCHANGED, REMOVED = "new", "changed", "unchanged", "removed"


@dataclass(frozen=True)
class PushedFile:
    """A file, and what a push would make of it on the hub: ``new``, ``changed``, ``unchanged`` or ``removed``."""

    name: str
    size: int
    change: str


@dataclass(frozen=True)
class Push:
    """What a push would do.

    Arguments
    ---------
    folder : Path
    config : ModelConfig
    repository : str
        ``owner/name``.
    address : str
        Of the page on the hub.
    account : str
        Who is logged in.
    private : bool
        Whether it is, or will be, visible to its owner alone.
    exists : bool
        Whether the repository is there.
    commit : str or None
        The hub's newest commit, to which the changes refer.
    licence : str
        As the card says it to the hub.
    files : list of PushedFile
    left : list of str
        What of the folder stays here, since the export did not write it.
    remarks : list of str
        What the user should look at before agreeing: paths of this machine in the files.
    """

    folder: Path
    config: ModelConfig
    repository: str
    address: str
    account: str
    private: bool
    exists: bool
    commit: str | None
    licence: str
    files: list[PushedFile]
    left: list[str]
    remarks: list[str]

    @property
    def changes(self) -> list[PushedFile]:
        """The files that a push would send or remove."""
        return [file for file in self.files if file.change != UNCHANGED]


def plan_push(folder: str | Path, repository: str, private: bool | None = None) -> Push:
    """Return what a push of a model folder would do; the hub is asked, and nothing is changed there.

    Arguments
    ---------
    folder : str or Path
        What an export wrote, unchanged since.
    repository : str
        ``owner/name``.
    private : bool, optional
        Whether only its owner shall see it. None: a new repository becomes private, one that exists stays as it is.

    Raises
    ------
    LungSRADError
        Where the folder is no export or was changed, the name is none, nobody is logged in, the hub refuses the card,
        or the repository has another visibility than asked for.
    """
    repository = check_hub_id(repository)
    config, paths, left = _read_export(Path(folder))
    licence = _licence(Path(folder))
    if get_token() is None:
        raise LungSRADError(f"{repository}: you are not logged in to the Hugging Face hub; {LOG_IN}")
    api = HfApi()
    account, info = _ask(api, repository, read_card(folder))
    if info is not None and private is not None and info.private != private:
        is_now, wanted = ("private", "public") if info.private else ("public", "private")
        raise LungSRADError(
            f"{repository}: is {is_now} on the hub, not {wanted}; change that on its page, or leave the option out"
        )
    return Push(
        folder=Path(folder),
        config=config,
        repository=repository,
        address=f"{api.endpoint}/{repository}",
        account=account,
        private=bool(info.private) if info is not None else private is not False,
        exists=info is not None,
        commit=info.sha if info is not None else None,
        licence=licence,
        files=_compare(paths, info),
        left=left,
        remarks=find_machine_paths(paths),
    )


def send(push: Push) -> str:
    """Do what was planned, and return the address of the commit.

    A repository that is missing is made; all files go in one commit, or none does.

    Raises
    ------
    LungSRADError
        Where the hub refuses, does not answer, or has changed since it was asked.
    """
    api = HfApi()
    operations: list[Any] = [
        CommitOperationDelete(file.name)
        if file.change == REMOVED
        else CommitOperationAdd(file.name, push.folder / file.name)
        for file in push.changes
    ]
    made = False
    try:
        if not push.exists:
            api.create_repo(push.repository, private=push.private)
            made = True
        done = api.create_commit(
            push.repository,
            operations,
            commit_message=f"Upload {push.config.model}",
            parent_commit=push.commit,
        )
    except Exception as error:  # of whichever HTTP client the hub's package uses
        after = "; an empty repository was made: push again, or delete it on its page" if made else ""
        raise LungSRADError(f"{_explain(error, push.repository, push.account)}{after}") from error
    return str(done.commit_url)


def _read_export(folder: Path) -> tuple[ModelConfig, list[Path], list[str]]:
    """Return what an export wrote into a folder, and the names of what else is in it."""
    config = read_config(folder)
    check_files(folder, config)
    written, changed, others = files_by_record(folder)
    names = {path.name for path in written}
    if changed:
        listed = ", ".join(printable(path.name) for path in changed)
        raise LungSRADError(
            f"{folder}: changed since it was exported: {listed}; only what an export wrote is pushed. Export the model "
            "again, and change the card on its page on the hub"
        )
    missing = [name for name in (*NEEDED, CARD) if name not in names]
    if missing:
        raise LungSRADError(
            f"{folder}: nothing shows that an export of this version wrote {', '.join(missing)}; write the folder anew "
            "with: lung-srad export RUN FOLDER"
        )
    return config, written, [printable(path.name) for path in others]


def _licence(folder: Path) -> str:
    """Return the licence that the card names, after reading its header as the hub's package does."""
    try:
        licence = ModelCard(read_card(folder)).data.to_dict().get("license")
    except Exception as error:  # of YAML, or of the hub's package
        reason = printable(str(error).strip().split("\n")[0])
        raise LungSRADError(f"{folder / CARD}: the header cannot be read ({reason}); export the model again") from None
    if not isinstance(licence, str):
        raise LungSRADError(f"{folder / CARD}: the header names no licence; export the model again")
    return licence


def _ask(api: HfApi, repository: str, card: str) -> tuple[str, Any]:
    """Return the account, and what the hub has of the repository, None where it is not there; it checks the card."""
    account = None
    try:
        account = api.whoami()["name"]
        ModelCard(card).validate()
        try:
            return account, api.model_info(repository, files_metadata=True, timeout=TIMEOUT)
        except RepositoryNotFoundError:
            return account, None
    except Exception as error:  # of whichever HTTP client the hub's package uses
        raise LungSRADError(_explain(error, repository, account)) from error


def _compare(paths: Sequence[Path], info: Any) -> list[PushedFile]:
    """Return what becomes of each file on the hub."""
    there = {file.rfilename: file for file in (info.siblings or ())} if info is not None else {}
    files = []
    for path in paths:
        known = there.pop(path.name, None)
        if known is None:
            change = NEW
        elif known.lfs is not None:
            change = UNCHANGED if known.lfs.sha256 == file_sha256(path) else CHANGED
        else:
            change = UNCHANGED if known.blob_id == git_hash(path.read_bytes()) else CHANGED
        files.append(PushedFile(path.name, path.stat().st_size, change))
    removed = sorted(MODEL_FILES & set(there))
    return files + [PushedFile(name, there[name].size or 0, REMOVED) for name in removed]


def _explain(error: Exception, repository: str, account: str | None) -> str:
    """Return what went wrong with a request to the hub, with the cure."""
    status, reason = describe_hub_error(error)
    who = f"the account {printable(account)}" if account else "the account"
    owner = repository.split("/")[0]
    if status == 401:
        return f"{repository}: the hub does not accept the token ({reason}); {LOG_IN}"
    if status == 403:
        return (
            f"{repository}: {who} may not write there ({reason}); check that {owner} is this account or an "
            "organisation of it, and that the token may write"
        )
    if status == 400:
        return f"{repository}: the hub refuses what was sent ({reason}); if it names the card, export the model again"
    if status == 404:
        return f"{repository}: not found on the hub ({reason}); check that there is an owner {owner}, and the token"
    if status in (409, 412):
        return f"{repository}: something else has been changed or made there meanwhile ({reason}); push again"
    if status is not None:
        return f"{repository}: the hub failed with status {status} ({reason}); push again later"
    return f"{repository}: the hub cannot be reached, or its answer not be read ({reason}); check the network"
