"""Checkpoint folders: the card, the hash of what decides an answer, and writing one whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from fusar_gpt.contract import Task
from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.calibration import Calibration

CARD_FILE = "fusar.json"
KLIP_CARD_FILE = "klip.json"
"""The card of a FUSAR-KLIP, whose folder is no FUSAR-GPT."""
ASPECTS = ("undistorted", "stretched")
CARD_TASKS = tuple(task.value for task in Task if task is not Task.ASK)
"""What a card may name as ``tasks``: ``free_questions`` says whether it may be asked anything else."""
# Whether a prior changes an answer is decided by the configuration, and in it TLM.
_DECIDES_NO_ANSWER = (
    *("base", "pixel_m", "chip_m", "tasks", "free_questions", "taught_questions", "sensors"),
    *("calibration", "uses_prior", "unconfirmed_tasks"),
)

# What the libraries raise about files that are missing, truncated or invalid.
BROKEN = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError),
    *(SafetensorError, StrictDataclassError),
)

TLM_FILE = "tlm.safetensors"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
_DECIDING = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "adapter_config.json",
    "preprocessor_config.json",
    *TOKENIZER_FILES,
)
_REQUIRED = ("config.json", "preprocessor_config.json", "tokenizer.json")

_CODE_FILES = (".py", ".pyc", ".so", ".pyd")
_CODE_FOLDERS = ("custom_generate",)
_CODE_SETTINGS = ("auto_map", "custom_generate", "custom_pipelines", "trust_remote_code")
_ATTENTION_SETTINGS = ("attn_implementation", "_attn_implementation", "experts_implementation")


@dataclass(frozen=True)
class Card:
    """The file ``fusar.json`` of a checkpoint folder.

    ``width`` and ``height`` are the chip in px as the model sees it, ``ground_m`` the ground side of chips it
    was trained on (None: native resolution), ``prior_years`` the first and last year of its priors.
    ``position_ramps`` puts x and y ramps into the second and third input channel; a published Qwen takes grey
    in all three. ``aspect`` is how ground of another shape is fitted to the chip: "stretched", as in the
    authors' release, or "undistorted" (more ground is shown instead).
    ``base`` names the folder or hub id whose weights this checkpoint's adapter and TLM belong to, with
    ``base_digests`` (SHA-256) and ``base_sizes`` (bytes) of its files; None when the folder holds all weights
    itself.
    ``pixel_m`` and ``chip_m`` are the smallest and greatest pixel side of the scenes and ground side of the chips
    that it was taught, in metres; None when that is not known.
    ``tasks`` names the tasks that it was taught, free questions aside, ``free_questions`` says whether it answers any
    question in words, and ``sensors`` names the radars that its images were from; None when that is not known.
    ``taught_questions`` are those in words that it answers even if it answers no others.
    ``unconfirmed_tasks`` may be asked of it too, in words that its makers have not confirmed; runs say so.
    ``uses_prior`` is False for a checkpoint without TLM: it sees images only, and no prior is fetched for it.
    ``calibration`` says how token probabilities become confidences, and how well; None: there are none.
    ``digests`` maps weight files to their SHA-256 and is written by ``save_checkpoint``.
    """

    name: str
    title: str
    prompt_set: str
    width: int
    height: int
    patch: int
    merge: int
    ground_m: float | None
    targets: list[str]
    demonstration: bool
    prior_years: list[int] | None
    licence: str
    trained_on: str
    position_ramps: bool = False
    aspect: str = "undistorted"
    base: str | None = None
    base_digests: dict[str, str] = field(default_factory=dict)
    base_sizes: dict[str, int] = field(default_factory=dict)
    pixel_m: list[float] | None = None
    chip_m: list[float] | None = None
    tasks: list[str] | None = None
    free_questions: bool | None = None
    taught_questions: list[str] = field(default_factory=list)
    sensors: list[str] | None = None
    unconfirmed_tasks: list[str] | None = None
    uses_prior: bool = True
    calibration: Calibration | None = None
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        step = self.patch * self.merge
        if step < 1 or min(self.width, self.height) < step or self.width % step or self.height % step:
            raise ValueError(f"{self.width} x {self.height} px is not a whole number of {step} px tokens")
        if self.aspect not in ASPECTS:
            raise ValueError(f"aspect must be one of {', '.join(ASPECTS)}, not {self.aspect!r}")
        for taught in (self.pixel_m, self.chip_m):
            if taught is not None and not (len(taught) == 2 and 0 < taught[0] <= taught[1]):
                raise ValueError(f"a smallest and a greatest size in metres are wanted, not {taught}")
        if self.tasks is not None and not (self.tasks and set(self.tasks) <= set(CARD_TASKS)):
            raise ValueError(f"tasks must be some of {', '.join(CARD_TASKS)}, not {self.tasks}")
        if not set(self.unconfirmed_tasks or ()) <= set(CARD_TASKS):
            raise ValueError(
                f"unconfirmed_tasks must be some of {', '.join(CARD_TASKS)}, not {self.unconfirmed_tasks}"
            )
        if self.ground_m is not None and not 0 < self.ground_m < math.inf:
            raise ValueError(f"ground_m must be a number of metres above 0, not {self.ground_m}")

    @property
    def token_rows(self) -> int:
        """Rows of the merged token grid."""
        return self.height // (self.patch * self.merge)

    @property
    def token_cols(self) -> int:
        """Columns of the merged token grid."""
        return self.width // (self.patch * self.merge)

    @property
    def asked_tasks(self) -> list[str] | None:
        """The tasks that may be asked of it, taught or in words that are not confirmed; None where it does not say."""
        return None if self.tasks is None else [*self.tasks, *(self.unconfirmed_tasks or ())]

    @classmethod
    def read(cls, folder: Path) -> Card:
        """The card of a folder; CheckpointError when it is missing or invalid, or the folder wants code to be run."""
        path = folder / CARD_FILE
        if not path.exists():
            if (folder / KLIP_CARD_FILE).is_file():
                raise CheckpointError(
                    f"{folder} is a FUSAR-KLIP, which compares images with texts and cannot interpret a scene: give a "
                    "FUSAR-GPT, such as tiny"
                )
            raise CheckpointError(
                f"{folder} is not a FUSAR-GPT checkpoint (it has no {CARD_FILE}): give a folder that has one"
            )
        refuse_code(folder)
        return read_json(cls, path)

    def write(self, folder: Path) -> None:
        """Write the card into a folder."""
        (folder / CARD_FILE).write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The content of the file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@contextmanager
def refused(what: str, then: str = "") -> Iterator[None]:
    """Turn what the libraries raise about broken files into CheckpointError: ``what (reason): then``."""
    try:
        yield
    except BROKEN as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(f"{what} ({reason}): {then}" if then else f"{what}: {reason}") from error


T = TypeVar("T")


def read_json(kind: type[T], path: Path) -> T:
    """What a checkpoint's JSON file holds, strictly of a kind. CheckpointError names the first entry that is not."""
    with refused(f"{path} cannot be read", "get the checkpoint again"):
        content = path.read_text(encoding="utf-8")
        try:
            return TypeAdapter(kind).validate_json(content, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            where, what = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{where}: {what}" if where else what) from None


def refuse_code(folder: Path) -> None:
    """CheckpointError when a folder of a model, adapter or tokenizer wants code of its own to be run.

    Call it before transformers reads the folder: the library would ask on the terminal whether to run the code.
    """
    with refused(f"{folder} cannot be read", "check its permissions"):
        paths = sorted(folder.iterdir())
        paths += [inside for path in paths if path.name in _CODE_FOLDERS for inside in path.iterdir()]
    for path in paths:
        name = path.name.casefold()
        wanted = "it is code" if name.endswith(_CODE_FILES) else None
        if "config" in name and name.endswith(".json"):
            with refused(f"{path} cannot be read", "get the checkpoint again"):
                wanted = _code_setting(json.loads(path.read_text(encoding="utf-8")))
        if wanted:
            raise CheckpointError(
                f"{folder} wants code of its own to be run ({path.relative_to(folder)}: {wanted}), and only weights "
                "and settings are loaded: get a checkpoint without code"
            )


def _code_setting(content: Any) -> str | None:
    """The first setting, at any depth, that makes transformers run code which comes with a checkpoint."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        settings = one.items() if isinstance(one, dict) else ()
        for key, value in settings:
            # An implementation with a slash is a repository of compiled code on the hub.
            remote = key in _ATTENTION_SETTINGS and "/" in str(value)
            if remote or (key in _CODE_SETTINGS and value):
                return f"the setting {key}"
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return None


def digest(folder: Path, card: Card) -> str:
    """SHA-256 of what decides an answer: the card, and the weights and settings beside it.

    The base's location is left out; its content is in it through ``base_digests``. So is what decides no answer but
    only warnings, refusals and confidences. CheckpointError when a file is missing or altered.
    """
    described = {key: value for key, value in asdict(card).items() if key not in _DECIDES_NO_ANSWER}
    total = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    found = set()
    for path in deciding_files(folder):
        one = sha256(path)
        if one != card.digests.get(path.name, one):
            raise CheckpointError(
                f"{path} is corrupted (its SHA-256 differs from the card's): get the checkpoint again"
            )
        found.add(path.name)
        total.update(f"{path.name} {one}\n".encode())
    missing = sorted({*card.digests, *_REQUIRED} - found)
    if not any(name.endswith(".safetensors") for name in found):
        missing = missing or ["*.safetensors"]
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}: get the checkpoint again")
    return total.hexdigest()


def deciding_files(folder: Path) -> list[Path]:
    """The files of a folder, its card aside, that decide an answer; sorted."""
    return sorted({path for pattern in _DECIDING for path in folder.glob(pattern)})


def sha256(path: Path) -> str:
    """SHA-256 of a file; CheckpointError when it cannot be read."""
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    return total.hexdigest()


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that becomes ``out`` at the end, or vanishes when anything fails.

    CheckpointError when ``out`` exists and is not an empty folder, or cannot be written.
    """
    out = out.expanduser().absolute()
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise CheckpointError(f"{out} exists already: give a new folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise CheckpointError(f"{out} cannot be created ({error.strerror}): give another folder") from error
    try:
        yield stage
        for path in (stage, *stage.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)  # the libraries write some files 0600
        if out.exists():
            out.rmdir()
        stage.rename(out)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{out} cannot be written ({reason}): make room or give another folder"
        raise CheckpointError(message) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_card(folder: Path, card: Card, paths: list[Path]) -> Card:
    """Write the card last, with the digests of ``paths``: a folder without a card is no checkpoint."""
    (folder / CARD_FILE).unlink(missing_ok=True)
    card = replace(card, digests={path.name: sha256(path) for path in paths})
    card.write(folder)
    return card
