"""What is written for an application is right there, or it is said what is not; no row of a table is dead."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.algorithms import ALGORITHMS
from lora_convert.applications import APPLICATIONS, File
from lora_convert.architectures import ARCHITECTURES
from lora_convert.formats import FORMATS
from lora_convert.operations.loading import looked_at
from tests.laws.covering import spread
from tests.laws.pairs import holds
from tests.laws.synthesis import adapter, parts
from tests.laws.witness import written


def denoiser(architecture: str) -> tuple[str, ...]:
    return (parts(architecture)[0].name,)


def few(made: lc.AdapterArrays, *, top: bool = False) -> lc.AdapterArrays:
    """A module of each kind of the first block, and with `top` those outside of blocks too."""
    chosen, seen = [], set()
    for module in made.modules:
        kind = "".join(letter for letter in module.module if not letter.isdigit())
        inside = any(part.isdigit() for part in module.module.split(".")[:2])
        if kind not in seen and (inside or top):
            seen.add(kind)
            chosen.append(module)
    return made._replace(modules=tuple(chosen))


def source_of(
    folder: Path, architecture: str, algorithm: str = "lora", *, mixed: bool = False
) -> str:
    """A file as a trainer leaves it: of the denoiser's blocks."""
    usual = "diffusers" if algorithm in {"lora", "dora"} else "kohya"
    format_ = usual if holds(usual, architecture) else "peft"
    made = adapter(architecture, algorithm, components=denoiser(architecture), mixed=mixed)
    return written(folder, format_, few(made))


def gaps_of(losses: list[dict[str, str]]) -> list[str]:
    return [loss["detail"] for loss in losses if loss["kind"] == "reader gap"]


NEVER_WHOLE = {("a1111", "sd3")}
"""Programs that have a model, and not all of the modules that trainers adapt."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_written_for_an_application_is_right_there(
    architecture: str, tmp_path: Path
) -> None:
    source = source_of(tmp_path, architecture, mixed=True)
    for name, application in APPLICATIONS.items():
        if not application.knows(architecture):
            continue
        how = {"architecture": architecture, "output": str(tmp_path / f"for {name}")}
        result = lc.convert(source, application=name, **how)
        [loading] = lc.check(result.output, application=name, architecture=architecture).loadings
        said = gaps_of(result.plan["losses"])
        assert [f"{loading.title} {finding}" for finding in loading.findings] == said
        assert loading.right == ((name, architecture) not in NEVER_WHOLE), loading


MODELS = ("sd1", "sdxl", "flux", "wan", "qwen_image", "anima", "minimax_h3", "z_image")


@pytest.mark.parametrize(
    ("name", "algorithm", "architecture"),
    [
        (name, algorithm, [one for one in MODELS if application.knows(one)][turn % 2])
        for name, application in APPLICATIONS.items()
        for turn, algorithm in enumerate(ALGORITHMS)
    ],
)
def test_other_algorithms_are_right_there_or_it_is_said_what_is_not(
    name: str, algorithm: str, architecture: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    format_ = "peft" if algorithm in {"oft_in", "boft_in"} else "kohya"
    made = few(adapter(architecture, algorithm, components=denoiser(architecture)))
    file = written(source, format_, made)
    how = {"architecture": architecture}
    try:
        result = lc.convert(file, application=name, output=str(tmp_path / "out"), **how)
    except lc.LoraConvertError as error:
        assert error.hint, "a refusal says what to type next"
        return
    [loading] = lc.check(result.output, application=name, **how).loadings
    said = gaps_of(result.plan["losses"])
    assert [f"{loading.title} {finding}" for finding in loading.findings] == said
    assert loading.right == (said == [])


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        (name, one)
        for name, application in APPLICATIONS.items()
        for one in ("sd1", "sdxl", "sd3", "flux", "anima", "z_image")
        if application.knows(one)
    ],
)
def test_of_whole_models_it_is_said_what_is_not_right(
    name: str, architecture: str, tmp_path: Path
) -> None:
    """With text encoders, and the modules outside of blocks."""
    source = written(tmp_path, "peft", few(adapter(architecture), top=True))
    how = {"architecture": architecture, "application": name}
    try:
        result = lc.convert(source, output=str(tmp_path / "out"), **how)
    except lc.LoraConvertError as error:
        assert error.hint
        return
    [loading] = lc.check(result.output, **how).loadings
    said = gaps_of(result.plan["losses"])
    assert [f"{loading.title} {finding}" for finding in loading.findings] == said


def with_roles(made: lc.AdapterArrays, **roles: Callable[[int], np.ndarray]) -> lc.AdapterArrays:
    """Each module with more tensors, made from the number of its outputs."""
    modules = []
    for module in made.modules:
        outputs = len(next(t for r, t in module.tensors.items() if r in {"up", "diff", "w_norm"}))
        more = {role: make(outputs).astype("float32") for role, make in roles.items()}
        modules.append(module._replace(tensors={**module.tensors, **more}))
    return made._replace(modules=tuple(modules))


def with_more_ranks(made: lc.AdapterArrays, name: str) -> lc.AdapterArrays:
    """One module with twice the ranks."""
    modules = []
    for module in made.modules:
        if module.module == name:
            down, up = module.tensors["down"], module.tensors["up"]
            twice = {"down": np.concatenate([down, down]), "up": np.concatenate([up, up], 1)}
            module = module._replace(tensors=twice)  # noqa: PLW2901 - one of them alone
        modules.append(module)
    return made._replace(modules=tuple(modules))


def edited(path: str, edit: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> str:
    """A file with its tensors changed, under another name."""
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    target = path.replace(".safetensors", "-edited.safetensors")
    save_file(edit(load_file(path)), target, metadata)
    return target


def usual_files(folder: Path) -> Iterator[File]:
    """Every algorithm in every format of a few models."""
    for architecture in (*MODELS, "sd3", "flux2", "sd2", "flux3", "ideogram4"):
        for algorithm, format_ in spread(
            ALGORITHMS, ("kohya", "comfyui", "lycoris", "kohya", "onetrainer")
        ):
            if holds(format_, architecture) and algorithm not in {"oft_in", "boft_in"}:
                made = adapter(architecture, algorithm, components=denoiser(architecture))
                path = written(folder / f"{architecture}-{algorithm}", format_, few(made, top=True))
                yield looked_at(path, architecture=architecture)
        for format_ in FORMATS:
            for algorithm in ("lora", "dora"):
                if FORMATS[format_].written and holds(format_, architecture):
                    made = adapter(architecture, algorithm, mixed=True)
                    named = tuple(
                        m
                        for m in few(made, top=True).modules
                        if FORMATS[format_].names(m.component, architecture)
                    )
                    path = written(
                        folder / f"{architecture}-mixed-{algorithm}",
                        format_,
                        made._replace(modules=named),
                    )
                    yield looked_at(path, architecture=architecture)


KNOWN_IN_PART = (
    ("chroma", "kohya"),
    ("flux", "comfyui"),
    ("ideogram4", "comfyui"),
    ("anima", "comfyui"),
    ("flux2", "comfyui"),
    ("flux3", "comfyui"),
    ("z_image", "comfyui"),
    ("z_image", "kohya"),
)
"""Models of which a program knows some modules, or some spellings."""


def half_known(folder: Path) -> Iterator[File]:
    """Whole denoisers, of which a program does not know all; parts of blocks; another spelling."""
    for one, format_ in KNOWN_IN_PART:
        made = few(adapter(one, components=denoiser(one)), top=True)
        yield looked_at(written(folder / f"{one}-{format_}", format_, made), architecture=one)
        if format_ == "comfyui":
            path = written(folder / f"{one}-ab", format_, made)
            yield looked_at(edited(path, _without_alphas), architecture=one)
    made = few(adapter("wan", components=denoiser("wan")))
    attention = made._replace(modules=tuple(m for m in made.modules if ".attn1." in m.module))
    yield looked_at(written(folder / "attention", "kohya", attention), architecture="wan")
    encoder = few(adapter("sdxl", components=("text_encoder_2",)), top=True)
    uneven = with_more_ranks(encoder, "text_projection")
    yield looked_at(written(folder / "uneven", "kohya", uneven), architecture="sdxl")


def odd_files(folder: Path) -> Iterator[File]:
    """What trainers leave beside that."""

    def made(architecture: str, algorithm: str = "lora") -> lc.AdapterArrays:
        return few(adapter(architecture, algorithm, components=denoiser(architecture)), top=True)

    def file(name: str, format_: str, adapter: lc.AdapterArrays) -> str:
        return written(folder / name, format_, adapter)

    def look(path: str, architecture: str) -> File:
        return looked_at(path, architecture=architecture)

    ones = np.ones
    for one in ("sd1", "flux"):
        for format_ in ("diffusers", "comfyui"):
            biased = with_roles(made(one), bias=ones)
            yield look(file(f"bias-{one}", format_, biased), one)
        for format_ in ("kohya", "comfyui"):
            beside = with_roles(made(one), diff_b=ones)
            yield look(file(f"beside-{one}", format_, beside), one)
    base = made("sd1")
    loose = [
        m._replace(algorithm="full", tensors={"diff_b": ones(8, "float32")}) for m in base.modules
    ]
    yield look(file("loose", "kohya", base._replace(modules=tuple(loose))), "sd1")
    norms = made("sd1", "norm")
    half = [m._replace(tensors={"w_norm": m.tensors["w_norm"]}) for m in norms.modules]
    yield look(file("norms", "kohya", norms._replace(modules=tuple(half))), "sd1")
    for algorithm in ("oft", "boft"):
        turned = made("sd1", algorithm)
        limited = [m._replace(settings={"constraint": 0.5}) for m in turned.modules]
        yield look(
            file(f"limited {algorithm}", "kohya", turned._replace(modules=tuple(limited))), "sd1"
        )
        path = file(f"plain {algorithm}", "kohya", turned)
        yield look(edited(path, lambda t: {k: v for k, v in t.items() if "alpha" not in k}), "sd1")
    for algorithm in ("loha", "lokr"):
        path = file(f"dora {algorithm}", "kohya", made("sd1", algorithm))
        yield look(edited(path, _with_dora_scale), "sd1")
    yield look(file("weights", "kohya", made("sd1", "weight")), "sd1")
    for one in ("z_image", "krea2"):
        path = file(f"ab {one}", "comfyui", made(one))
        yield look(edited(path, _called_ab), one)
    path = file("plain", "kohya", made("sdxl"))
    save_file(load_file(path), folder / "plain.safetensors", {"format": "pt"})
    yield look(str(folder / "plain.safetensors"), "sdxl")
    one = {"single_blocks.0.processor.qkv_lora.down.weight": ones((4, 3072), "float32")}
    one["single_blocks.0.processor.qkv_lora.up.weight"] = ones((9216, 4), "float32")
    save_file(one, folder / "xlabs.safetensors")
    yield look(str(folder / "xlabs.safetensors"), "flux")

    path = file("prefix", "kohya", made("sd1", "oft"))
    yield look(edited(path, _under_the_other_prefix), "sd1")
    for number, (name, shapes) in enumerate(RARE):
        path = str(folder / f"rare-{number}.safetensors")
        tensors = {
            f"{name}.{part}": np.full(shape, 0.5, "float32") for part, shape in shapes.items()
        }
        save_file(tensors, path)
        yield look(path, "sd1" if "down_blocks" in name else "flux")


_CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
_LINEAR = "lora_unet_double_blocks_0_img_attn_proj"
RARE: tuple[tuple[str, dict[str, tuple[int, ...]]], ...] = (
    (_CONV, {"oft_blocks": (2, 4, 4), "rescale": (8, 1, 1, 1), "alpha": ()}),
    (
        _CONV,
        {
            "a1.weight": (12, 2),
            "a2.weight": (2, 12),
            "bm.weight": (2, 2, 3, 3),
            "b1.weight": (8, 2),
            "b2.weight": (2, 12),
            "alpha": (),
        },
    ),
    (
        _CONV,
        {
            "lora_down.weight": (2, 12, 1, 1),
            "lora_mid.weight": (2, 2, 3, 3),
            "lora_up.weight": (8, 2, 1, 1),
            "alpha": (),
        },
    ),
    (
        _CONV,
        {"lokr_w1": (2, 3), "lokr_t2": (2, 2, 3, 3), "lokr_w2_a": (2, 4), "lokr_w2_b": (2, 4)},
    ),
    *(
        (name, {"lokr_w1_a": (2, 1), "lokr_w1_b": (1, 3), "lokr_w2": (4, 4), "alpha": ()})
        for name in (_CONV.replace("resnets_0_conv1", "attentions_0_proj_in"), _LINEAR)
    ),
)
"""Tensors of modules that few files hold."""


def _with_dora_scale(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = {key.partition(".")[0] for key in tensors}
    scales = {}
    for name in names:
        if f"{name}.hada_w1_a" in tensors and f"{name}.hada_t1" not in tensors:
            rows = len(tensors[f"{name}.hada_w1_a"])
        elif f"{name}.lokr_w1" in tensors and f"{name}.lokr_w2" in tensors:
            rows = len(tensors[f"{name}.lokr_w1"]) * len(tensors[f"{name}.lokr_w2"])
        else:
            continue
        scales[f"{name}.dora_scale"] = np.ones((rows, 1), "float32")
    return {**tensors, **scales}


def _called_ab(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor
        for key, tensor in tensors.items()
    }


def _without_alphas(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: v for k, v in _called_ab(tensors).items() if not k.endswith(".alpha")}


def _under_the_other_prefix(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.replace("lora_unet_", "oft_unet_"): tensor for key, tensor in tensors.items()}


def test_every_row_is_about_some_file(tmp_path: Path) -> None:
    missing = {(name, gap.what): gap for name, one in APPLICATIONS.items() for gap in one.gaps}
    for file in chain(half_known(tmp_path), odd_files(tmp_path), usual_files(tmp_path)):
        for name, what in [*missing]:
            application, gap = APPLICATIONS[name], missing[name, what]
            if any(
                application.reads_module(module, file) and gap.concerns(module, file)
                for module in file.modules
            ):
                del missing[name, what]
        if not missing:
            return
    pytest.fail("\n".join(f"{name}: {what}" for name, what in missing))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_tables_name_what_there_is(name: str) -> None:
    application = APPLICATIONS[name]
    assert {reads.format for reads in application.reads} <= FORMATS.keys()
    assert {*application.writes.values()} <= {f for f in FORMATS if FORMATS[f].written}
    assert {*application.folds} <= FORMATS.keys()
    named = {one for reads in application.reads for one in reads.architectures}
    assert (named | set(application.writes)) - {""} <= set(ARCHITECTURES)
    assert application.source
    assert all(gap.source and gap.what for gap in application.gaps)
    for architecture in filter(application.knows, ARCHITECTURES):
        format_ = application.format_for(architecture)
        assert FORMATS[format_].names(denoiser(architecture)[0], architecture), architecture


def test_a_scale_in_the_header_is_lost_where_it_is_not_read(tmp_path: Path) -> None:
    source = written(tmp_path, "diffusers", adapter("flux", components=("transformer",)))
    [loading] = lc.check(source, application="comfyui").loadings
    assert [finding.effect for finding in loading.findings] == ["misreads"]
    assert loading.applied == loading.modules
    assert lc.check(source, application="diffusers").exit_code == 0


def test_a_base_that_metadata_does_not_name_hides_a_file(tmp_path: Path) -> None:
    source = written(tmp_path, "kohya", adapter("sdxl", components=("unet",)))
    assert lc.check(source, application="a1111").exit_code == 0
    save_file(load_file(source), tmp_path / "plain.safetensors", {"format": "pt"})
    [loading] = lc.check(tmp_path / "plain.safetensors", application="a1111").loadings
    assert [finding.effect for finding in loading.findings] == ["hides"]


def test_an_application_without_the_model_says_so(tmp_path: Path) -> None:
    source = written(tmp_path, "kohya", adapter("flux", components=("transformer",)))
    [loading] = lc.check(source, application="a1111").loadings
    assert loading.applied == 0
    assert "no model" in loading.findings[0].what
    with pytest.raises(lc.LoraConvertError, match="loads no adapters of flux"):
        lc.convert(source, application="a1111", output=str(tmp_path / "out"))
    assert "a1111" not in {one.application for one in lc.check(source).loadings}


def test_what_a_check_prints_as_json_is_what_it_found(tmp_path: Path) -> None:
    source = written(tmp_path, "diffusers", few(adapter("flux", components=("transformer",))))
    found = lc.check(source)
    document = json.loads(json.dumps(found.as_json()))
    assert [one["application"] for one in document["applications"]] == [
        name for name, application in APPLICATIONS.items() if application.knows("flux")
    ]
    for one, loading in zip(document["applications"], found.loadings, strict=True):
        assert one["right"] == loading.right == (not one["findings"])
