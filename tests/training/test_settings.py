"""Settings: one table, three ways to say them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lora_convert.errors import OptionError
from lora_convert_train.cli import COMMANDS, app
from lora_convert_train.cli._options import settings_of
from lora_convert_train.settings import FIELDS, Settings, as_toml, flag, read_settings

OTHER = {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: v / 2 + 0.25}


def changed() -> Settings:
    """Settings none of which is the default."""
    values = {}
    for field in FIELDS:
        default = getattr(Settings(), field.name)
        if field.metadata["choices"]:
            values[field.name] = next(c for c in field.metadata["choices"] if c != default)
        elif field.name == "shift":
            values[field.name] = "2.5"
        elif field.name == "lora_alpha":
            values[field.name] = 7.5
        elif isinstance(default, tuple):
            values[field.name] = ('a "b"', "ü\n\x7f")
        elif isinstance(default, str):
            values[field.name] = default + ' x"\\ü'
        else:
            values[field.name] = OTHER[type(default)](default)
    return Settings(**values)


def test_a_run_keeps_every_setting(tmp_path: Path) -> None:
    for settings in (Settings(), changed()):
        path = tmp_path / "config.toml"
        path.write_text(as_toml(settings), encoding="utf-8")
        assert settings_of(str(path), {}) == settings


def test_flags_count_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("lora_rank = 4\n[training]\nseed = 3\n")
    assert settings_of(str(path), {"lora_rank": 8, "resolution": None}) == Settings(
        lora_rank=8, seed=3
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lora_rnk = 4", "lora_rank"),
        ("[lora]\nalfa = 4", "no such setting"),
        ('lora_rank = "4"', "int is meant"),
        ("random_flip = 1", "bool is meant"),
        ("lora_rank = true", "int is meant"),
        ("lora_rank = 0", "at least 1"),
        ("lora_rank = ", "Invalid value"),
        ('optimizer = "adm"', "adamw"),
        ('shift = "much"', "auto, none or a number"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        settings_of(str(path), {})
    assert said in str(caught.value)


def test_every_setting_is_a_flag_in_both_spellings() -> None:
    for command in ("train", "plan", "check"):
        told = CliRunner().invoke(app, [command, "--help"], terminal_width=200).output
        for field in FIELDS:
            name = flag(field.name)
            shown = (
                name.removesuffix("s")
                if isinstance(getattr(Settings(), field.name), tuple)
                else name
            )
            assert f"--{shown}" in told, (command, name)
    arguments = ["check", "--train_data_dir", "/nowhere", "--lora-rank", "3", "--random_flip"]
    assert "no such folder" in str(CliRunner().invoke(app, arguments).exception)


def test_the_seeds_defaults() -> None:
    """What old commands meant where they left a flag away."""
    settings = Settings()
    assert settings.pretrained_model_name_or_path == "runwayml/stable-diffusion-v1-5"
    assert (settings.resolution, settings.train_batch_size, settings.lora_rank) == (512, 1, 16)
    assert (settings.learning_rate, settings.max_train_steps, settings.save_steps) == (
        1e-5,
        1500,
        500,
    )
    assert (settings.mixed_precision, settings.num_workers, settings.targets) == (
        "fp16",
        0,
        "to_q,to_v",
    )
    assert settings.output_dir == "./lora_out" and settings.alpha == settings.lora_rank


def test_every_command_has_help() -> None:
    for command in COMMANDS:
        done = CliRunner().invoke(app, [command, "--help"])
        assert done.exit_code == 0, done.exception
    assert dataclasses.is_dataclass(read_settings.__globals__["Settings"])


def test_packages_that_are_missing_are_told(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['diffusers'] = None; from lora_convert_train.cli import main;"
        f" main(['train', '--train-data-dir', {str(tmp_path)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: lora-convert-train needs packages")
    assert 'pip install "lora-convert[train]"' in done.stderr
