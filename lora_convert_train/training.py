"""A training from its settings to its result: what is read, gone on from, saved and exported."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import LoraConvertError, NotEnoughSpaceError
from lora_convert_train import manifest, state
from lora_convert_train.base import open_base
from lora_convert_train.dataset import read_dataset
from lora_convert_train.errors import ResumeError
from lora_convert_train.events import event_writer
from lora_convert_train.exporting import export
from lora_convert_train.hardware import hardware_for
from lora_convert_train.planning import plan_training, saved_bytes
from lora_convert_train.plotting import plot_losses
from lora_convert_train.preparing import Prepared, prepare
from lora_convert_train.recipes import recipe_for
from lora_convert_train.run_folder import RunFolder
from lora_convert_train.sampling import Sampler
from lora_convert_train.settings import as_toml
from lora_convert_train.signals import listening

if TYPE_CHECKING:
    from lora_convert_train.dataset import Dataset
    from lora_convert_train.loop import Step
    from lora_convert_train.settings import Settings
    from lora_convert_train.signals import Interruption


class Watcher:
    """What a training tells on its way; this one listens to nothing."""

    def note(self, text: str) -> None:
        """Something worth knowing, once."""

    def begins(self, first: int, last: int) -> None:
        """Steps after `first` come, to `last`."""

    def stepped(self, step: Step) -> None:
        """A step is done."""

    def ends(self) -> None:
        """No step comes any more."""


class Outcome(NamedTuple):
    """How a training ended."""

    run: RunFolder
    step: int
    """Steps that are done."""
    signal: int
    """That it was stopped by; 0 where it is finished."""
    exported: str
    """The folder of the result; empty where that failed."""


def read_items(settings: Settings) -> Dataset:
    """The dataset of the settings. Errors as of `read_dataset`."""
    return read_dataset(
        settings.train_data_dir,
        instance_prompt=settings.instance_prompt,
        missing=settings.missing_captions,
        trigger=settings.trigger_word,
    )


def train(settings: Settings, *, resume: bool = False, watcher: Watcher | None = None) -> Outcome:
    """Train a LoRA, or go on with a run where `resume`; a run that is finished is left as it is.

    DatasetError, BaseModelError and OptionError come before a model is read; ResumeError where the folder
    holds a run that is not to be gone on with, or cannot be.
    """
    watcher = watcher or Watcher()
    settings.check()
    run = RunFolder(settings.output_dir)
    done = max([*run.steps(), *(int(one["step"]) for one in run.read_metrics())], default=0)
    if done and not resume:
        raise ResumeError(
            f"{run.path}: holds a run of {done} steps already",
            hint="--resume goes on with it; another --output-dir keeps it apart",
        )
    if (
        resume
        and run.read_manifest().get("state") == "finished"
        and done >= settings.max_train_steps
    ):
        watcher.note(f"{run.path}: finished at step {done} already")
        return Outcome(run, done, 0, run.weights)
    if manifest.trains(run):
        process = run.read_manifest().get("pid")
        raise ResumeError(
            f"{run.path}: is being trained by process {process}",
            hint="wait for it, or stop it: it saves and can be gone on with",
        )
    dataset = read_items(settings)
    base = open_base(settings.pretrained_model_name_or_path, settings.revision, settings.variant)
    recipe = recipe_for(base, settings)
    hardware = hardware_for(settings)
    for note in plan_training(settings, dataset, base).notes:
        watcher.note(note)
    with listening() as interruption:
        prepared = prepare(recipe, dataset, hardware)
        for note in prepared.notes:
            watcher.note(note)
        return _Training(run, settings, prepared, watcher, interruption).run_to_end(resume=resume)


class _Training(NamedTuple):
    """A run and what its steps are made with."""

    run: RunFolder
    settings: Settings
    prepared: Prepared
    watcher: Watcher
    interruption: Interruption

    @property
    def is_main(self) -> bool:
        """Whether this process writes."""
        return bool(self.prepared.loop.accelerator.is_main_process)

    def run_to_end(self, *, resume: bool) -> Outcome:
        """Make all steps, or those until a signal, and export what was learned."""
        first = self._restored() if resume else 0
        self._check_space()
        if self.is_main:
            os.makedirs(self.run.checkpoints, exist_ok=True)
            self.run.cut_metrics(first)
            self.run.write(self.run.config, as_toml(self.settings))
            self.run.update_manifest(**manifest.beginning(self.settings, self.prepared, first))
        try:
            step = self._steps(first)
        except BaseException as error:
            if self.is_main:
                self.run.update_manifest(state="failed", error=str(error), ended=manifest.now())
            raise
        finally:
            self.watcher.ends()
        return self._ended(step)

    def _check_space(self) -> None:
        """Raise NotEnoughSpaceError where the disk cannot hold what will be saved."""
        place = os.path.abspath(self.run.path)
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        needed = saved_bytes(self.settings, self.prepared.trainable)
        free = shutil.disk_usage(place).free
        if self.is_main and free < needed:
            raise NotEnoughSpaceError(self.run.path, needed, free)

    def _restored(self) -> int:
        known = self.run.read_manifest().get("identity") or {}
        state.differences(known, self.prepared.identity)  # before weights of another shape are read
        step, before = state.restore(self.run, self.prepared.trained, self.watcher.note)
        for difference in state.differences(before, self.prepared.identity):
            self.watcher.note(f"not bit for bit as before: {difference}")
        return step

    def _steps(self, first: int) -> int:
        last, every = self.settings.max_train_steps, self.settings.save_steps
        self.prepared.loop.optimizer.train()
        self.watcher.begins(first, last)
        self._sampled(first)
        done = first
        with self._metrics() as write:
            for step in self.prepared.loop.steps(first, last):
                done = step.step
                write(step)
                self.watcher.stepped(step)
                stops = self._stops()
                if stops or done == last or done % every == 0:
                    self._save(step)
                if stops:
                    break
                self._sampled(done)
        return done

    def _sampled(self, step: int) -> None:
        """Draw samples where they are due; that they fail stops no training."""
        every, recipe = self.settings.sample_every, self.prepared.loop.recipe
        if not (self.is_main and every and self.settings.sample_prompts) or step % every:
            return
        sampler = Sampler(self.run, recipe.base, self.settings, self.prepared.hardware)
        try:
            with self._as_result():
                sampler.draw(self.prepared.trained.models, step)
        except Exception as error:  # noqa: BLE001 - whatever a pipeline raises
            self.watcher.note(f"no samples at step {step}: {type(error).__name__}: {error}")

    @contextmanager
    def _as_result(self) -> Iterator[None]:
        """Weights as they are to be used: an optimizer that averages them trains others (schedule-free)."""
        optimizer = self.prepared.loop.optimizer
        optimizer.eval()
        try:
            yield
        finally:
            optimizer.train()

    def _stops(self) -> bool:
        """Whether any process was asked to stop: all save the same step."""
        accelerator = self.prepared.loop.accelerator
        if accelerator.num_processes == 1:
            return bool(self.interruption.signal)
        import torch

        asked = torch.tensor(self.interruption.signal, device=accelerator.device)
        self.interruption.signal = int(accelerator.gather(asked).max())
        return bool(self.interruption.signal)

    @contextmanager
    def _metrics(self) -> Iterator[Any]:
        """What writes a line for each step."""
        if not self.is_main:
            yield lambda step: None
            return
        with (
            open(self.run.metrics, "a", encoding="utf-8", newline="\n") as file,
            event_writer(self.run.path) as events,
        ):

            def write(step: Step) -> None:
                file.write(json.dumps(step.as_line()) + "\n")
                file.flush()
                events(step)

            yield write

    def _save(self, step: Step) -> None:
        if self.is_main:
            self.run.settle_metrics()
            trained, ident = self.prepared.trained, self.prepared.identity
            with self._as_result():
                state.save(self.run, trained, step.step, step.epoch, ident)
            state.rotate(self.run, self.settings.keep_checkpoints)
            self.run.update_manifest(step=step.step, checkpoints=manifest.checkpoints(self.run))
        self.prepared.loop.accelerator.wait_for_everyone()

    def _ended(self, step: int) -> Outcome:
        number, exported = self.interruption.signal, ""
        if self.is_main:
            try:
                exported = export(
                    self.run,
                    self.run.checkpoint(step),
                    step=step,
                    about=manifest.about(self.settings),
                )
            except (LoraConvertError, OSError) as error:
                self.watcher.note(f"the result was not exported: {error}")
            plot_losses(self.run.read_metrics(), os.path.join(self.run.path, "loss.png"))
            self.run.update_manifest(
                state="interrupted" if number else "finished",
                signal=number,
                exported=exported and os.path.relpath(exported, self.run.path),
                ended=manifest.now(),
            )
        return Outcome(self.run, step, number, exported)
