"""Several sources: one line each, none stops the others, no two outputs meet."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import save_file

import lora_convert
from tests.hostile.answering import Answer, answer
from tests.laws.synthesis import adapter
from tests.writing import kohya, peft_folder, spelled

HOSTILE = Path(__file__).resolve().parents[2] / "fixtures" / "hostile"
FORMATS = ("diffusers", "kohya", "peft", "accelerate")


def run(*arguments: str | Path) -> Answer:
    return answer([str(argument) for argument in arguments])


def styles(folder: Path, *names: str) -> Path:
    """A folder of adapters that differ in their scale."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, 1):
        save_file(kohya(alpha=float(number)), folder / f"{name}.safetensors")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    return styles(tmp_path / "loras", "b", "a", "c")


@pytest.fixture
def mixed(loras: Path) -> Path:
    """Three that convert, one that is broken, one that is no adapter."""
    (loras / "broken.safetensors").write_bytes(b"no")
    save_file({"weird": kohya()[next(iter(kohya()))]}, loras / "weird.safetensors")
    return loras


def test_a_folder_of_several_is_a_line_each_in_the_order_of_names(mixed: Path) -> None:
    result = run("inspect", mixed)
    assert result.exit_code == 3
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["a.safetensors", "kohya"],
        ["b.safetensors", "kohya"],
        ["broken.safetensors", "error:"],
        ["c.safetensors", "kohya"],
        ["weird.safetensors", "error:"],
    ]
    assert "4 modules  scale 0.5 " in result.stdout
    assert result.stderr == "5 files: 3 read, 2 refused\n"


def test_all_done_is_exit_0(loras: Path) -> None:
    assert run("inspect", loras).exit_code == 0
    assert run("to-peft", loras).exit_code == 0


def test_a_folder_is_its_files(loras: Path) -> None:
    files = sorted(loras.iterdir())
    for options in ([], ["--json"], ["-q"]):
        assert run("inspect", loras, *options) == run("inspect", *files, *options)


def test_json_is_an_object_a_line_and_says_which_failed(mixed: Path) -> None:
    for arguments in (["inspect"], ["to-peft"], ["to-peft", "--dry-run"]):
        result = run(*arguments, "--json", mixed)
        assert result.exit_code == 3
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert len(found) == 5
        bad = {Path(fields["path"]).name: fields["error"] for fields in found if "error" in fields}
        assert bad["broken.safetensors"]["type"] == "CorruptCheckpointError"
        assert result.stderr.splitlines()[-1].startswith("5 files: 3 ")


def test_quiet_prints_the_outputs_alone_and_failures_beside(mixed: Path) -> None:
    result = run("to-kohya", "-q", mixed)
    assert result.stdout.splitlines() == [
        str(mixed / f"{name}_kohya.safetensors") for name in "abc"
    ]
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["failed"] * 2


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("elsewhere", [True, False])
def test_each_has_its_own_output_and_the_next_run_changes_nothing(
    to: str, elsewhere: bool, loras: Path, tmp_path: Path
) -> None:
    command = ["convert", "--to", to, *(["-o", str(tmp_path / "out")] if elsewhere else []), loras]
    before = contents(loras)
    planned = [
        json.loads(line) for line in run(*command, "--dry-run", "--json").stdout.splitlines()
    ]
    assert contents(tmp_path) == {f"loras/{name}": data for name, data in before.items()}
    first = run(*command)
    assert (first.exit_code, first.stderr) == (0, "3 files: 3 written\n")
    assert all(line.startswith("written: ") for line in first.stdout.splitlines())
    assert "4 modules, bit-exact" in first.stdout
    after = contents(tmp_path)
    outputs = {
        str(Path(path).relative_to(tmp_path)) for plan in planned for path in plan["outputs"]
    }
    assert set(after) == outputs | {f"loras/{name}" for name in before}
    assert {name: after[f"loras/{name}"] for name in before} == before
    for plan in planned:
        assert lora_convert.verify(plan["source"], plan["output"]).exact
    second = run(*command)
    assert second.exit_code == 0
    assert second.stderr.splitlines()[-1] == "3 files: 3 unchanged"
    assert contents(tmp_path) == after


@pytest.mark.parametrize("to", FORMATS)
def test_outputs_are_no_sources_even_where_all_is_given(to: str, loras: Path) -> None:
    run("to-kohya", loras)
    run("to-peft", loras)
    run("convert", "--to", to, loras)
    before = contents(loras)
    result = run("convert", "--to", to, "--force", *sorted(loras.iterdir()))
    assert result.stderr.splitlines()[-1] == "3 files: 3 unchanged"
    assert "a_kohya.safetensors" in result.stderr, "what is passed over is named"
    assert contents(loras) == before


def test_an_output_is_never_another_source(loras: Path, tmp_path: Path) -> None:
    """Not even by force: a link leads the output to where a source lies."""
    inside = styles(loras / "inside", "a_kohya")
    (tmp_path / "out").symlink_to(inside)
    before = contents(loras)
    result = run(
        "to-kohya", "--force", *sorted(loras.glob("**/*.safetensors")), "-o", tmp_path / "out"
    )
    assert result.exit_code == 3
    assert "failed: " in result.stdout
    assert {name: contents(loras)[name] for name in before} == before


def test_one_that_fails_stops_no_other(loras: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b_kohya.safetensors").write_text("precious")
    result = run("to-kohya", tmp_path / "absent", loras, "-o", out)
    assert result.exit_code == 3
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "failed",
        "written",
        "failed",
        "written",
    ]
    assert result.stderr == "4 files: 2 written, 2 failed\n"
    assert (out / "b_kohya.safetensors").read_text() == "precious"
    assert run("to-kohya", loras, "-o", out, "--force").exit_code == 0


def test_of_one_name_in_two_folders_nothing_is_written_to_one_place(tmp_path: Path) -> None:
    one, two = styles(tmp_path / "one", "x", "y"), styles(tmp_path / "two", "x")
    for to in FORMATS:
        command = ("convert", "--to", to, *one.iterdir(), *two.iterdir())
        result = run(*command, "-o", tmp_path / "out")
        assert result.exit_code == 2
        assert str(one / "x.safetensors") in result.stderr
        assert str(two / "x.safetensors") in result.stderr
        assert not (tmp_path / "out").exists()
        assert run(*command).exit_code == 0, "beside their sources they are apart"


def test_files_that_differ_in_their_suffix_alone_are_kept_apart(loras: Path) -> None:
    tensors = spelled(infix=".default")
    save_file(tensors, loras / "shard.safetensors.part.safetensors")
    index = {"weight_map": dict.fromkeys(tensors, "shard.safetensors.part.safetensors")}
    (loras / "a.safetensors.index.json").write_text(json.dumps(index))
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    (loras / "adapter_config.json").write_text(json.dumps(config))
    result = run("to-kohya", "-q", loras, "-o", loras / "out")
    assert [Path(line).name for line in result.stdout.splitlines()] == [
        "a_kohya.safetensors",
        "a.safetensors.index.json_kohya.safetensors",
        "b_kohya.safetensors",
        "c_kohya.safetensors",
    ], "the index and its shard are one source"


def test_the_same_file_twice_is_converted_once(loras: Path) -> None:
    path = loras / "a.safetensors"
    result = run("to-kohya", loras, path, loras / ".." / "loras" / "a.safetensors")
    assert result.stderr == "3 files: 3 written\n"


def test_several_need_a_folder(loras: Path) -> None:
    for name in ("all.safetensors", "a.safetensors"):
        result = run("to-kohya", loras, "-o", loras / name)
        assert result.exit_code == 2
        assert "several sources need a folder" in result.stderr
    (loras / "file").write_text("")
    assert run("to-kohya", loras, "-o", loras / "file").exit_code == 2
    assert json.loads(run("to-kohya", loras, "-o", loras / "file", "--json").stdout)["error"]
    assert len(contents(loras)) == 4


def test_an_option_that_is_wrong_for_all_is_said_once(loras: Path) -> None:
    for arguments in (
        ["inspect", "--architecture", "sdx"],
        ["to-kohya", "--architecture", "sdx"],
        ["convert", "--to", "kohia"],
        ["to-kohya", "--scale-from", "alpha=much"],
    ):
        result = run(*arguments, *loras.iterdir())
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ")


def test_folders_of_one_checkpoint_are_called_after_themselves(tmp_path: Path) -> None:
    for name in ("checkpoint-500", "checkpoint-1000"):
        peft_folder(tmp_path / name)
    folders = sorted(tmp_path.iterdir())
    result = run("to-kohya", "-q", *folders, "-o", tmp_path / "out")
    assert [Path(line).name for line in result.stdout.splitlines()] == [
        "checkpoint-1000_kohya.safetensors",
        "checkpoint-500_kohya.safetensors",
    ]
    beside = run("to-kohya", "-q", *folders)
    assert beside.stdout.splitlines() == [
        str(folder / "adapter_model_kohya.safetensors") for folder in folders
    ], "as each alone"


def test_a_folder_of_one_checkpoint_is_shown_whole(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run")
    save_file(spelled("unet."), folder / "pytorch_lora_weights.safetensors")
    (folder / "broken.safetensors").write_bytes(b"no")
    result = run("inspect", folder)
    assert result.exit_code == 0
    assert result.stdout.startswith("file ")
    assert not result.stderr
    written = run("to-diffusers", folder, "-o", tmp_path / "one.safetensors")
    assert (written.exit_code, written.stdout.count("\n")) == (0, 2)


def test_a_single_files_output_for_diffusers_is_no_source_beside_others(loras: Path) -> None:
    assert run("to-diffusers", loras / "a.safetensors").exit_code == 0
    assert run("to-diffusers", loras).stderr == "3 files: 3 written\n"


def test_a_folder_that_cannot_be_listed_is_one_line(
    loras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    real = os.listdir

    def listed(path: str = ".") -> list[str]:
        if os.path.samefile(path, closed):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "listdir", listed)
    result = run("inspect", closed, loras)
    assert result.stdout.splitlines()[0].endswith("error: cannot be listed: Permission denied")
    assert result.stderr == "4 files: 3 read, 1 refused\n"


@pytest.mark.parametrize("names", [("x", "y"), ("model", "adapter_model")])
def test_a_folder_of_broken_files_names_each(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / f"{name}.safetensors").write_bytes(b"no")
    for command in ("inspect", "to-kohya"):
        result = run(command, tmp_path)
        assert result.exit_code == 3
        assert len(result.stdout.splitlines()) == 2
        assert all(name in result.stdout for name in names)


def test_parts_of_a_distributed_checkpoint_are_not_several(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"mp_rank_0{number}_model_states.pt").write_bytes(b"no")
    (tmp_path / "zero_to_fp32.py").touch()
    result = run("inspect", tmp_path)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "DeepSpeed" in result.stderr


def test_names_and_health_of_several_are_blocks(mixed: Path) -> None:
    for option in ("--names", "--health"):
        result = run("inspect", option, mixed)
        assert result.exit_code == 3
        assert result.stdout.count("format ") == 4
        assert "broken.safetensors" in result.stderr
    assert len(run("inspect", "--health", "--json", mixed).stdout.splitlines()) == 5


def test_losses_are_counted_in_the_line_and_told_in_json(tmp_path: Path) -> None:
    folder = styles(tmp_path, "a")
    save_file(kohya(alpha=None), folder / "lost.safetensors")
    line = run("to-peft", "--dry-run", folder).stdout.splitlines()[1]
    assert line.startswith("would write: ")
    assert line.endswith("4 modules, 1 loss")
    told = run("to-peft", "--dry-run", "--json", folder).stdout.splitlines()[1]
    assert json.loads(told)["losses"][0]["kind"] == "scale assumed"
    assert "scale 1 assumed" in run("inspect", folder).stdout


@pytest.mark.skipif(os.name == "nt", reason="names with control characters need POSIX")
def test_a_name_cannot_make_a_line_of_its_own(tmp_path: Path) -> None:
    name = "x\n\x1b[31mwritten: y\u2028\x85"
    folder = styles(tmp_path / "a\nb", name, "sound")
    (folder / f"{name}broken.safetensors").write_bytes(b"no")
    for arguments in (["inspect"], ["inspect", "-q"], ["to-peft"], ["to-peft", "-q", "--dry-run"]):
        result = run(*arguments, folder)
        assert result.exit_code == 3
        lines = [*result.stdout.splitlines(), *result.stderr.splitlines()]
        assert len(lines) == (3 if "-q" in arguments else 4), lines
        assert "\x1b" not in result.stdout + result.stderr


def test_a_long_message_keeps_its_end(tmp_path: Path) -> None:
    folder = styles(tmp_path, "a", "x" * 240)
    line = run("to-kohya", folder).stdout.splitlines()[1]
    assert "…" in line
    assert "File name too long" in line


def test_an_interrupt_ends_all(loras: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_convert.operations import convert

    real = convert.plan_convert

    def interrupted(source: str, *arguments: object, **options: object) -> object:
        if source.endswith("b.safetensors"):
            raise KeyboardInterrupt
        return real(source, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(convert, "plan_convert", interrupted)
    result = run("to-kohya", loras)
    assert (result.exit_code, result.stderr.strip()) == (130, "interrupted")
    assert {path.name for path in loras.iterdir() if "kohya" in path.name} == {
        "a_kohya.safetensors"
    }


@pytest.fixture
def few_files() -> Iterator[None]:
    """So few descriptors that none may stay open."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) + 8, limits[1])
    )
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("few_files")
def test_open_files_do_not_grow_with_the_sources(tmp_path: Path) -> None:
    folder = styles(tmp_path / "loras", *(f"style-{number}" for number in range(60)))
    assert run("inspect", folder).exit_code == 0
    assert run("to-peft", folder, "-o", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("command", ["inspect", "to-diffusers", "to-kohya", "to-peft"])
def test_a_hostile_folder_gets_a_line_each_and_keeps_its_files(
    command: str, tmp_path: Path
) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(HOSTILE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    before = contents(folder)
    out = tmp_path / "out"
    result = run(command, folder, *(() if command == "inspect" else ("-o", out)))
    assert result.exit_code == 3
    assert "Traceback" not in result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(before)
    assert result.stderr.startswith(f"{len(before)} files: ")
    assert contents(folder) == before
    written = [line for line in lines if line.startswith("written: ")]
    assert len([*out.iterdir()] if out.exists() else []) == len(written)
    again = run(command, folder, *(() if command == "inspect" else ("-o", out)))
    assert again.stdout.count("unchanged: ") == len(written)


def test_several_for_an_application_have_the_format_of_their_architecture(
    loras: Path, tmp_path: Path
) -> None:
    result = run("convert", loras, "--for", "comfyui", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a_kohya.safetensors", "b_kohya.safetensors", "c_kohya.safetensors"]


def test_several_of_architectures_that_an_application_is_given_otherwise_are_not_mixed(
    loras: Path, tmp_path: Path
) -> None:
    made = adapter("flux", components=("transformer",))
    lora_convert.write_adapter(made, str(loras / "flux.safetensors"), to="comfyui")
    result = run("convert", loras, "--for", "comfyui", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "depends on the architecture" in result.stderr
    assert not (tmp_path / "out").exists()
