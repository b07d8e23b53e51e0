"""What a training loop saves is what it loads, to the bit; and what does not fit is an error."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, inject_adapter_in_model
from torch import nn

import lora_convert as lc
from lora_convert.errors import (
    CheckpointNotFoundError,
    CorruptCheckpointError,
    DestinationExistsError,
    ModelMismatchError,
    NotExpressibleError,
    OptionError,
    UnsafePickleError,
)
from lora_convert.operations import saving_checkpoints
from tests.operations.live_examples import EXAMPLES, Example, Mlp

PATHS = ("checkpoint-2", "epoch_2.pth", "epoch_2.pt")
MLP, TWO = EXAMPLES["mlp"], EXAMPLES["two adapters"]
each_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
each_path = pytest.mark.parametrize("path", PATHS)


def trained(example: Example, seed: int = 0, steps: int = 2) -> tuple[nn.Module, Any, Any]:
    model = example.model(seed)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    example.train(model, optimizer, scheduler, steps)
    return model, optimizer, scheduler


def bits(value: Any) -> Any:
    """All that is in a state, to be compared."""
    if isinstance(value, torch.Tensor):
        raw = value.detach().contiguous().reshape(-1).view(torch.uint8)
        return str(value.dtype), tuple(value.shape), raw.numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    return value


def adapter(model: nn.Module) -> dict[str, Any]:
    """What training changes, by name."""
    return {n: bits(p) for n, p in model.named_parameters() if p.requires_grad}


def with_base_of(model: nn.Module, other: nn.Module) -> nn.Module:
    """A model on the frozen weights of another."""
    learned = {name for name, p in other.named_parameters() if p.requires_grad}
    state = {name: tensor for name, tensor in other.state_dict().items() if name not in learned}
    model.load_state_dict(state, strict=False)
    return model


@each_example
@each_path
@pytest.mark.parametrize("base", [False, True], ids=["adapters", "whole"])
def test_a_training_goes_on_as_if_it_had_not_ended(
    example: Example, path: str, base: bool, tmp_path: Path
) -> None:
    model, optimizer, scheduler = trained(example)
    told = {"loss": 0.25, "seed": 7, "names": ["a"]}
    saved = lc.save_checkpoint(
        model,
        tmp_path / path,
        optimizer=optimizer,
        scheduler=scheduler,
        epoch=1,
        step=2,
        metadata=told,
        base=base,
    )
    assert saved.done and saved.wait() == str(tmp_path / path)

    again, its_optimizer, its_scheduler = trained(example, seed=1, steps=1)
    if not base:
        with_base_of(again, model)
    report = lc.load_checkpoint(saved.path, again, optimizer=its_optimizer, scheduler=its_scheduler)
    assert report[1:] == ((), (), (), 1, 2, told)
    assert {*adapter(model)} <= {*report.loaded} <= {*model.state_dict()}
    assert json.loads(json.dumps(report.as_json()))["step"] == 2
    assert bits(again.state_dict()) == bits(model.state_dict())
    assert bits(its_optimizer.state_dict()) == bits(optimizer.state_dict())
    assert bits(its_scheduler.state_dict()) == bits(scheduler.state_dict())

    example.train(model, optimizer, scheduler)
    example.train(again, its_optimizer, its_scheduler)
    assert bits(again.state_dict()) == bits(model.state_dict())


@each_example
def test_the_converter_reads_a_checkpoint_with_no_option(example: Example, tmp_path: Path) -> None:
    model, optimizer, _ = trained(example)
    folder = tmp_path / "outputs" / "checkpoint-500"
    lc.save_checkpoint(model, folder, optimizer=optimizer, step=500)
    found = lc.inspect(os.fspath(folder))
    assert found.format == "peft"
    assert found.scale_source in {"config", None}
    assert not [name for name in found.unexplained if ".lora_" in name or ".lokr_" in name]


@pytest.mark.parametrize("base", [False, True], ids=["adapters", "whole"])
@each_path
def test_what_is_converted_acts_as_the_model_does(path: str, base: bool, tmp_path: Path) -> None:
    model, _, _ = trained(MLP)
    saved = lc.save_checkpoint(model, tmp_path / path, base=base).path
    lc.convert(saved, "peft", output=os.fspath(tmp_path / "out"))
    plain = Mlp()
    plain.load_state_dict(model.get_base_model().state_dict(), strict=False)  # type: ignore[operator]
    state = model.state_dict()
    for name in ("first.weight", "first.bias"):
        plain.get_parameter(name).data = state[
            f"base_model.model.{name.replace('.', '.base_layer.')}"
        ]
    loaded = PeftModel.from_pretrained(plain, tmp_path / "out")
    x = torch.randn(3, 8)
    assert torch.equal(loaded(x), model(x))


@each_example
def test_peft_reads_the_folder_as_its_own(example: Example, tmp_path: Path) -> None:
    model = example.model()
    lc.save_checkpoint(model, tmp_path / "c")
    names = [path.parent for path in (tmp_path / "c").rglob("adapter_model.safetensors")]
    for folder in names:
        config = LoraConfig.from_pretrained(folder)
        assert config.peft_type in {"LORA", "LOKR"} and config.target_modules
    assert len(names) == (2 if example is TWO else 1)


def test_adapters_keep_their_names_and_stay_active(tmp_path: Path) -> None:
    model = TWO.model()
    model.base_model.set_adapter("lora_edit")  # type: ignore[operator, union-attr]
    for path in PATHS:
        lc.save_checkpoint(model, tmp_path / path)
        again = with_base_of(TWO.model(1), model)
        again.base_model.set_adapter("lora_edit")  # type: ignore[operator, union-attr]
        report = lc.load_checkpoint(tmp_path / path, again)
        assert any(name.endswith("lora_A.lora_edit.weight") for name in report.loaded)
        assert again.active_adapters == ["lora_edit"]
        x = torch.randn(2, 8)
        assert torch.equal(again(x), model(x))
    payload = torch.load(tmp_path / "epoch_2.pth", weights_only=True)
    assert {*payload["config"]} == {"default", "lora_edit"}
    assert any(".lora_A.lora_edit.weight" in name for name in payload["model_state_dict"])


def test_a_file_without_names_is_of_the_active_adapter(tmp_path: Path) -> None:
    source = get_peft_model(Mlp(), LoraConfig(r=4, lora_alpha=8, target_modules=["first"]))
    source.save_pretrained(tmp_path)
    model = MLP.model()
    report = lc.load_checkpoint(tmp_path, model)
    assert {name.partition(".lora_")[2] for name in report.loaded} == {
        "A.lora_edit.weight",
        "B.lora_edit.weight",
    }
    assert lc.load_checkpoint(tmp_path / "adapter_model.safetensors", model) == report


@pytest.mark.parametrize("container", ["model.safetensors", "pytorch_model.bin"])
def test_a_wrapped_checkpoint_loads_into_an_injected_model(container: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    wrapped = get_peft_model(Mlp(), LoraConfig(r=4, target_modules=["first"]))
    state = {f"module._orig_mod.{name}": tensor for name, tensor in wrapped.state_dict().items()}
    if container == "model.safetensors":
        save_file(state, tmp_path / container)
    else:
        torch.save(state, tmp_path / container)
    model = inject_adapter_in_model(LoraConfig(r=4, target_modules=["first"]), Mlp())
    report = lc.load_checkpoint(tmp_path, model)
    assert len(report.loaded) == len(state)
    assert [*map(bits, model.state_dict().values())] == [*map(bits, state.values())]


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel], ids=["compile", "parallel"])
def test_wrappers_are_looked_through(
    wrap: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    model = MLP.model()
    lc.save_checkpoint(wrap(model), tmp_path / "wrapped", base=True)
    lc.save_checkpoint(model, tmp_path / "plain", base=True)
    names = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("wrapped", "plain")]
    assert names[0] == names[1]
    other = MLP.model(1)
    lc.load_checkpoint(tmp_path / "plain", wrap(other))
    assert bits(other.state_dict()) == bits(model.state_dict())


def test_a_model_without_adapters_is_saved_whole(tmp_path: Path) -> None:
    model, other = Mlp(), Mlp()
    with pytest.raises(OptionError, match="base=True"):
        lc.save_checkpoint(model, tmp_path / "c")
    lc.save_checkpoint(model, tmp_path / "c", base=True)
    assert len(lc.load_checkpoint(tmp_path / "c", other).loaded) == 6
    assert bits(other.state_dict()) == bits(model.state_dict())


def test_what_is_trained_beside_adapters_is_not_left_out(tmp_path: Path) -> None:
    model = EXAMPLES["a part of a model"].model()
    model.critic.requires_grad_(True)  # type: ignore[union-attr, operator]
    with pytest.raises(OptionError, match=r"critic\.weight"):
        lc.save_checkpoint(model, tmp_path / "c")
    lc.save_checkpoint(model, tmp_path / "c", base=True)


def _other_rank() -> nn.Module:
    config = LoraConfig(r=8, lora_alpha=8, target_modules=["first"])
    return get_peft_model(Mlp(), config, adapter_name="lora_edit")


def _more_modules() -> nn.Module:
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["first", "second"])
    return get_peft_model(Mlp(), config, adapter_name="lora_edit")


def _other_name() -> nn.Module:
    return get_peft_model(Mlp(), LoraConfig(r=4, lora_alpha=8, target_modules=["first"]))


MISMATCHES = {
    "rank": (_other_rank, "mismatched", False),
    "modules": (_more_modules, "missing", True),
    "adapter": (_other_name, "unexpected", False),
    "no adapter": (Mlp, "unexpected", False),
}


@pytest.mark.parametrize(("make", "field", "loosely"), MISMATCHES.values(), ids=MISMATCHES)
@each_path
def test_what_does_not_fit_is_an_error_and_changes_nothing(
    make: Callable[[], nn.Module], field: str, loosely: bool, path: str, tmp_path: Path
) -> None:
    lc.save_checkpoint(MLP.model(), tmp_path / path)
    model = make()
    before = bits(model.state_dict())
    with pytest.raises(ModelMismatchError) as raised:
        lc.load_checkpoint(tmp_path / path, model)
    assert getattr(raised.value, field)
    assert bits(model.state_dict()) == before
    if loosely:
        report = lc.load_checkpoint(tmp_path / path, model, strict=False)
        assert report.loaded and getattr(report, field)
    else:
        with pytest.raises(ModelMismatchError, match="0 of its tensors fit"):
            lc.load_checkpoint(tmp_path / path, model, strict=False)
        assert bits(model.state_dict()) == before


def test_another_optimizer_is_an_error_and_no_weights_are_loaded(tmp_path: Path) -> None:
    model, optimizer, _ = trained(MLP)
    lc.save_checkpoint(model, tmp_path / "c", optimizer=optimizer)
    other = MLP.model(1)
    before = bits(other.state_dict())
    wrong = torch.optim.AdamW([*other.parameters()][:1])
    with pytest.raises(ModelMismatchError, match="another AdamW"):
        lc.load_checkpoint(tmp_path / "c", other, optimizer=wrong)
    assert bits(other.state_dict()) == before


@each_path
def test_a_state_that_was_not_saved_is_an_error(path: str, tmp_path: Path) -> None:
    model, optimizer, _ = trained(MLP)
    lc.save_checkpoint(model, tmp_path / path)
    with pytest.raises(CheckpointNotFoundError):
        lc.load_checkpoint(tmp_path / path, model, optimizer=optimizer)
    with pytest.raises(CheckpointNotFoundError):
        lc.load_checkpoint(tmp_path / "nowhere", model)


def test_damage_is_found_before_anything_is_loaded(tmp_path: Path) -> None:
    model, optimizer, _ = trained(MLP)
    lc.save_checkpoint(model, tmp_path / "c", optimizer=optimizer)
    place = tmp_path / "c" / "optimizer.bin"
    data = bytearray(place.read_bytes())
    moment = optimizer.state_dict()["state"][0]["exp_avg"].numpy().tobytes()
    data[data.index(moment)] ^= 1
    place.write_bytes(data)
    torch.load(place, weights_only=True)  # torch sees nothing
    before = bits(model.state_dict())
    with pytest.raises(CorruptCheckpointError, match="damaged"):
        lc.load_checkpoint(tmp_path / "c", model, optimizer=optimizer)
    assert bits(model.state_dict()) == before


class _Canary:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_nothing_in_a_state_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, optimizer, _ = trained(MLP)
    lc.save_checkpoint(model, "c", optimizer=optimizer)
    torch.save({"state": _Canary()}, "c/optimizer.bin")
    with pytest.raises(UnsafePickleError):
        lc.load_checkpoint("c", model, optimizer=optimizer)
    assert not Path("ran").exists()


def test_a_payload_with_a_configuration_object_still_gives_its_weights(tmp_path: Path) -> None:
    model = MLP.model()
    payload = {"model_state_dict": model.state_dict(), "config": LoraConfig(r=4), "epoch": 3}
    torch.save(payload, tmp_path / "old.pth")
    other, optimizer, _ = trained(MLP, 1)
    assert len(lc.load_checkpoint(tmp_path / "old.pth", other).loaded) == len(model.state_dict())
    with pytest.raises(UnsafePickleError):
        lc.load_checkpoint(tmp_path / "old.pth", other, optimizer=optimizer)


class _Odd:
    def state_dict(self) -> dict[str, Any]:
        return {"state": {"0": [self]}}


def test_a_state_that_could_not_be_read_back_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(NotExpressibleError, match="_Odd"):
        lc.save_checkpoint(MLP.model(), tmp_path / "c", optimizer=_Odd())
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("value", [np.float32(0.5), torch.tensor(0.5), 0.5])
def test_metadata_is_json(value: object, tmp_path: Path) -> None:
    for path in PATHS:
        lc.save_checkpoint(
            MLP.model(), tmp_path / path, step=3, metadata={"loss": value, "at": (1, 2)}
        )
        report = lc.load_checkpoint(tmp_path / path, MLP.model(1))
        assert report.metadata == {"loss": 0.5, "at": [1, 2]} and report.epoch is None
    with pytest.raises(OptionError, match="metadata"):
        lc.save_checkpoint(MLP.model(), tmp_path / "c", metadata={"model": Mlp()})


needs_exchange = pytest.mark.skipif(os.name == "nt", reason="no call that exchanges folders")


@needs_exchange
@pytest.mark.parametrize("tag", ["latest", "latest.pth"])
def test_a_tag_is_replaced(tag: str, tmp_path: Path) -> None:
    for seed in range(3):
        model, optimizer, _ = trained(TWO if seed == 0 else MLP, seed)
        saved = lc.save_checkpoint(model, tmp_path, optimizer=optimizer, step=seed, tag=tag)
        assert saved.path == str(tmp_path / tag)
    other = MLP.model(9)
    assert lc.load_checkpoint(tmp_path / tag, other).step == 2
    assert adapter(other) == adapter(model)
    assert [path.name for path in tmp_path.iterdir()] == [tag]


@needs_exchange
def test_what_else_lies_in_a_checkpoint_is_not_lost(tmp_path: Path) -> None:
    lc.save_checkpoint(MLP.model(), tmp_path / "c")
    (tmp_path / "c" / "notes.txt").write_text("mine")
    with pytest.raises(DestinationExistsError, match=r"notes\.txt"):
        lc.save_checkpoint(MLP.model(1), tmp_path / "c")
    assert (tmp_path / "c" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("tag", ["", "..", "a/b", "con", "a:b"])
def test_a_tag_is_one_plain_name(tag: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="tag"):
        lc.save_checkpoint(MLP.model(), tmp_path, tag=tag)


@each_path
def test_in_the_background_what_was_is_saved(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    write = saving_checkpoints._Saved.write
    monkeypatch.setattr(
        saving_checkpoints._Saved, "write", lambda self: (gate.wait(60), write(self))[1]
    )
    model, optimizer, _ = trained(MLP)
    weights, moments = bits(model.state_dict()), bits(optimizer.state_dict())
    saving = lc.save_checkpoint(model, tmp_path / path, optimizer=optimizer, background=True)
    assert not saving.done
    MLP.train(model, optimizer)
    gate.set()
    assert saving.wait() == str(tmp_path / path) and saving.done
    assert bits(model.state_dict()) != weights
    again, its_optimizer, _ = trained(MLP, 1)
    with_base_of(again, model)
    lc.load_checkpoint(tmp_path / path, again, optimizer=its_optimizer)
    assert bits(again.state_dict()) == weights
    assert bits(its_optimizer.state_dict()) == moments


@needs_exchange
def test_saves_to_one_path_are_done_in_the_order_of_the_calls(tmp_path: Path) -> None:
    model = MLP.model()
    savings = [
        lc.save_checkpoint(model, tmp_path, tag="latest", step=step, background=True)
        for step in range(6)
    ]
    lc.save_checkpoint(model, tmp_path, tag="latest", step=6)
    assert all(saving.done for saving in savings)
    assert lc.load_checkpoint(tmp_path / "latest", model).step == 6


def test_what_fails_in_the_background_is_raised_by_wait(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    saving = lc.save_checkpoint(MLP.model(), tmp_path / "file" / "c", background=True)
    for _ in range(2):
        with pytest.raises(lc.LoraConvertError):
            saving.wait()
    unheard = lc.save_checkpoint(MLP.model(), tmp_path / "file" / "c", background=True)
    assert unheard._thread
    unheard._thread.join(60)
    with pytest.warns(RuntimeWarning, match="was not saved"):
        del unheard


def test_an_adapter_called_like_a_module_is_not_cut(tmp_path: Path) -> None:
    model = TWO.model()
    model.add_adapter("second", LoraConfig(r=1, target_modules=["first"]))  # type: ignore[operator]
    with pytest.raises(NotExpressibleError, match="no name for"):
        lc.save_checkpoint(model, tmp_path / "c")


def test_the_folder_may_be_moved(tmp_path: Path) -> None:
    model = TWO.model()
    lc.save_checkpoint(model, tmp_path / "c")
    shutil.move(tmp_path / "c", tmp_path / "elsewhere")
    other = TWO.model(1)
    lc.load_checkpoint(tmp_path / "elsewhere", other)
    assert adapter(other) == adapter(model)
