"""What can go wrong in training; each error says what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from lora_convert.errors import EXIT_USAGE, LoraConvertError


class DatasetError(LoraConvertError, ValueError):
    """The images or captions cannot be trained on: all that is wrong with them, in one list."""

    exit_code = EXIT_USAGE

    def __init__(self, folder: str, problems: Sequence[str]) -> None:
        self.folder = folder
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__(
            f"{folder}: {count} in the dataset\n" + "\n".join(f"  {one}" for one in problems),
            hint=f"mend them, then: lora-convert-train check --train-data-dir {folder}",
        )


class BaseModelError(LoraConvertError, ValueError):
    """The base model is not there, or none that can be trained."""

    exit_code = EXIT_USAGE


class TrainingError(LoraConvertError, RuntimeError):
    """Training cannot go on; what was saved before is there."""


class ResumeError(LoraConvertError, ValueError):
    """A run cannot be gone on with as it was asked."""

    exit_code = EXIT_USAGE
