"""The command line: exit codes, streams, modes. One law for every command where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from lora_convert.cli import _app, main
from tests.writing import kohya, peft_folder, spelled


def run(*arguments: str | Path) -> Result:
    """A command in this process, as the console script runs it."""
    return CliRunner().invoke(_Main(), [str(argument) for argument in arguments])


class _Main:
    """What CliRunner needs of a command, with the real entry point behind it."""

    name = "lora-convert"

    def main(self, args: list[str], prog_name: str, **extra: object) -> None:
        main(args)


@pytest.fixture
def style(tmp_path: Path) -> Path:
    save_file(kohya(), tmp_path / "style.safetensors")
    return tmp_path / "style.safetensors"


def test_inspect_gives_one_object_for_one_path(style: Path) -> None:
    result = run("inspect", "--json", style)
    assert result.exit_code == 0
    fields = json.loads(result.stdout)
    assert fields["format"] == "kohya"
    assert fields["container"] == "safetensors"
    assert fields["path"] == str(style)
    assert (fields["modules"], fields["total"], fields["explained"]) == (4, 12, 12)
    assert fields["ranks"] == {"4": 4}
    assert fields["scale_source"] == "tensor"
    assert fields["bytes"] == style.stat().st_size
    for name in ("algorithms", "components", "dtypes", "unexplained", "candidates"):
        assert isinstance(fields[name], list), name
    assert fields["candidates"][0].keys() == {"format", "architecture", "explained"}
    assert isinstance(fields["metadata"], dict)


def test_inspect_gives_a_line_for_each_of_several_and_says_which_failed(
    style: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no")
    result = run("inspect", "--json", style, broken, tmp_path / "absent")
    assert result.exit_code == 3
    good, bad, absent = map(json.loads, result.stdout.splitlines())
    assert good["format"] == "kohya"
    assert (bad["path"], bad["error"]["type"]) == (str(broken), "CorruptCheckpointError")
    assert absent["error"]["type"] == "CheckpointNotFoundError"
    assert "Traceback" not in result.output


def test_unrecognised_is_still_an_object_and_exit_4(tmp_path: Path) -> None:
    save_file({"blocks.0.weird": kohya()[next(iter(kohya()))]}, tmp_path / "x.safetensors")
    result = run("inspect", "--json", tmp_path / "x.safetensors")
    assert result.exit_code == 4
    fields = json.loads(result.stdout)
    assert (fields["format"], fields["architecture"]) == (None, None)
    assert fields["unexplained"] == ["blocks.0.weird"]


def test_one_unknown_key_stops_a_conversion_with_the_nearest_name(tmp_path: Path) -> None:
    tensors = kohya()
    tensors["lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_qq.alpha"] = (
        tensors[next(key for key in tensors if key.endswith(".alpha"))]
    )
    save_file(tensors, tmp_path / "x.safetensors")
    assert run("inspect", tmp_path / "x.safetensors").exit_code == 4
    result = run("to-diffusers", tmp_path / "x.safetensors")
    assert result.exit_code == 4
    assert "1 of 13 keys" in result.stderr
    assert "attn1_to_q.alpha" in result.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "x.safetensors"]


def test_a_lone_factor_is_explained_and_is_health(tmp_path: Path) -> None:
    tensors = {
        key: value for key, value in kohya().items() if "lora_up" not in key or "to_q" not in key
    }
    save_file(tensors, tmp_path / "x.safetensors")
    result = run("inspect", "--json", "--health", tmp_path / "x.safetensors")
    fields = json.loads(result.stdout)
    assert result.exit_code == 0
    assert fields["explained"] == fields["total"] == 11
    assert len(fields["health"]["incomplete"]) == 1
    assert "no up" in fields["health"]["incomplete"][0]
    assert run("to-diffusers", tmp_path / "x.safetensors").exit_code == 1


def test_health_finds_nan_zeros_and_doubles(tmp_path: Path) -> None:
    tensors = kohya()
    ups = [key for key in tensors if "lora_up" in key]
    tensors[ups[0]][0, 0] = float("nan")
    tensors[ups[1]][:] = 0
    tensors[ups[2]] = tensors[ups[3]]
    save_file(tensors, tmp_path / "x.safetensors")
    found = json.loads(run("inspect", "--json", "--health", tmp_path / "x.safetensors").stdout)[
        "health"
    ]
    assert found["non_finite"] == [ups[0]]
    assert len(found["zero_up"]) == len(found["duplicates"]) == 1
    assert run("inspect", tmp_path / "x.safetensors").exit_code == 0
    converted = run("to-diffusers", tmp_path / "x.safetensors")
    assert converted.exit_code == 0, "values are looked at only where they are computed"


def test_options_stand_before_or_after_the_source_and_take_underscores(style: Path) -> None:
    for number, arguments in enumerate(
        (["--dry-run", style], [style, "--dry_run"], ["--scale_from", "rank", style, "--dry-run"])
    ):
        result = run("to-diffusers", *arguments)
        assert result.exit_code == 0, (number, result.output)
    assert run("to_diffusers", style, "--dry-run").exit_code == 0
    assert list(style.parent.iterdir()) == [style]


def test_default_names_are_beside_the_source(style: Path) -> None:
    assert run("to-diffusers", style).exit_code == 0
    assert run("to-peft", style).exit_code == 0
    assert {path.name for path in style.parent.iterdir()} == {
        "style.safetensors",
        "pytorch_lora_weights.safetensors",
        "style_peft",
    }
    assert {path.name for path in (style.parent / "style_peft").iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
    }
    folder = peft_folder(style.parent / "run")
    assert run("to-kohya", folder).exit_code == 0
    assert (folder / "adapter_model_kohya.safetensors").exists()


def test_an_existing_output_is_refused_unchanged_or_replaced(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run("to-diffusers", folder, "--force").exit_code == 0
    for extra in ([], ["--force"]):
        again = run("to-diffusers", folder, *extra)
        assert (again.exit_code, again.stdout.split(":")[0]) == (0, "unchanged")
    (folder / "pytorch_lora_weights.safetensors").write_text("other")
    assert run("to-diffusers", folder).exit_code == 5
    assert run("to-diffusers", folder, "--force").exit_code == 0
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_results_are_on_stdout_and_the_rest_on_stderr(style: Path, tmp_path: Path) -> None:
    result = run("to-peft", style, "-o", tmp_path / "out", "--json")
    fields = json.loads(result.stdout)
    assert fields["status"] == "written"
    assert fields["proof"]["exact"] is True
    assert fields["outputs"] == [
        str(tmp_path / "out" / name)
        for name in ("adapter_model.safetensors", "adapter_config.json")
    ]
    quiet = run("to-peft", style, "-o", tmp_path / "quiet", "-q")
    assert quiet.stdout == f"{tmp_path / 'quiet'}\n"
    assert not quiet.stderr


def test_errors_are_objects_too(style: Path) -> None:
    result = run("to-diffusers", style.with_name("absent"), "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "CheckpointNotFoundError"


def test_refusing_losses(tmp_path: Path) -> None:
    save_file(kohya(alpha=None), tmp_path / "x.safetensors")
    result = run("to-diffusers", tmp_path / "x.safetensors", "--losses", "refuse")
    assert result.exit_code == 5
    assert "assumed" in result.stderr
    assert len(list(tmp_path.iterdir())) == 1


def test_verify_tells_alike_from_different_and_unknown(tmp_path: Path, style: Path) -> None:
    run("to-peft", style)
    assert run("verify", style, tmp_path / "style_peft").exit_code == 0
    louder = tmp_path / "louder.safetensors"
    save_file(kohya(alpha=4.0), louder)
    different = run("verify", style, louder)
    assert different.exit_code == 1
    assert "scale 0.5 against 1" in different.stdout
    save_file({"weird": kohya()[next(iter(kohya()))]}, tmp_path / "weird.safetensors")
    assert run("verify", style, tmp_path / "weird.safetensors").exit_code == 4


def test_two_changes_that_are_zero_are_equal(tmp_path: Path) -> None:
    zero = {key: value * 0 if "lora_up" in key else value for key, value in kohya().items()}
    other = {
        key: value * 0 if "lora_down" in key else value for key, value in kohya(alpha=9.0).items()
    }
    save_file(zero, tmp_path / "a.safetensors")
    save_file(other, tmp_path / "b.safetensors")
    assert run("verify", tmp_path / "a.safetensors", tmp_path / "b.safetensors").exit_code == 0


def test_names_in_files_do_not_steer_the_terminal(tmp_path: Path) -> None:
    save_file(
        {"\x1b[31mred\x07.lora_A.weight": kohya()[next(iter(kohya()))]}, tmp_path / "x.safetensors"
    )
    for arguments in (["inspect", "--names"], ["inspect"], ["to-diffusers"]):
        result = run(*arguments, tmp_path / "x.safetensors")
        assert "\x1b" not in result.output
        assert "\x07" not in result.output


def test_unknown_words_answer_with_the_nearest(style: Path) -> None:
    for arguments, near in (
        (["inspct", style], "inspect"),
        (["convert", style, "--to", "kohia"], "kohya"),
        (["inspect", style, "--architecture", "sdx"], "sdxl"),
        (["inspect", style, "--component", "txt_encoder"], "text_encoder"),
        (["inspect", style, "--helth"], "--health"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert near in result.stderr


def test_names_are_shown_as_a_tree(style: Path) -> None:
    shown = run("inspect", "--names", style).stdout
    assert shown.count("lora_down") == 4
    assert "\n  alpha" in shown


def test_an_unknown_architecture_converts_between_dotted_formats_only(tmp_path: Path) -> None:
    names = ("blocks.3.attn.q_proj", "blocks.3.attn.out_proj")
    save_file(spelled("base_model.model.", names=names), tmp_path / "adapter_model.safetensors")
    result = run("to-diffusers", tmp_path, "--json")
    assert result.exit_code == 0
    fields = json.loads(
        run("inspect", "--json", tmp_path / "pytorch_lora_weights.safetensors").stdout
    )
    assert (fields["format"], fields["architecture"]) == ("diffusers", None)
    assert fields["components"] == ["transformer"]
    assert run("to-kohya", tmp_path).exit_code == 4
    named = run("to-diffusers", tmp_path, "--component", "prior", "-o", tmp_path / "prior")
    assert named.exit_code == 0
    fields = json.loads(run("inspect", "--json", tmp_path / "prior").stdout)
    assert fields["components"] == ["prior"]


@pytest.mark.parametrize("command", _app.COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    found = _app.app.get_command(click.Context(_app.app), command)
    if isinstance(found, click.Group):
        assert all(f"  {name}  " in result.stdout for name in found.commands)
    else:
        assert "--json" in result.stdout
        assert "--quiet" in result.stdout


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules that a command has imported when it is done."""
    code = (
        "import sys; from lora_convert.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as done: assert not done.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


def test_nothing_heavy_is_imported_for_inspect(style: Path) -> None:
    heavy = {"torch", "numpy", "diffusers", "transformers", "peft", "huggingface_hub", "ml_dtypes"}
    assert not heavy & imported_by("inspect", "--json", str(style))


def test_a_copying_conversion_imports_no_numpy(style: Path) -> None:
    assert "numpy" not in imported_by("to-diffusers", str(style))


def test_the_module_runs_and_a_closed_pipe_is_no_traceback(style: Path) -> None:
    command = [sys.executable, "-m", "lora_convert", "inspect", "--names", str(style)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
