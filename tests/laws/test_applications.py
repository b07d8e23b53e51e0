"""What is written for an application loads there, and loads right, by the application's own table."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_convert as lc
from lora_convert.applications import APPLICATIONS
from lora_convert.architectures import ARCHITECTURES
from lora_convert.formats import FORMATS
from tests.laws.synthesis import adapter, parts
from tests.laws.test_conversion import written

CASES = [
    (name, one)
    for name, application in APPLICATIONS.items()
    for one in ("sd1", "sdxl", "flux", "z_image", "qwen_image", "wan")
    if application.knows(one)
]
"""Models with and without fused layers, old and new, that an application has."""


def denoiser(architecture: str) -> tuple[str, ...]:
    return (parts(architecture)[0].name,)


@pytest.mark.parametrize(("name", "architecture"), CASES)
def test_what_is_written_for_an_application_is_right_there(
    name: str, architecture: str, tmp_path: Path
) -> None:
    made = adapter(architecture, components=denoiser(architecture))
    source = written(tmp_path, "diffusers", made)
    how = {"architecture": architecture, "output": str(tmp_path / "out")}
    result = lc.convert(source, application=name, **how)
    assert [loss for loss in result.plan["losses"] if loss["kind"] == "reader gap"] == []
    found = lc.check(result.output, application=name, architecture=architecture)
    assert found.exit_code == 0, found.loadings


@pytest.mark.parametrize("name", APPLICATIONS)
def test_tables_name_what_there_is(name: str) -> None:
    application = APPLICATIONS[name]
    assert {reads.format for reads in application.reads} <= FORMATS.keys()
    assert {*application.writes.values()} <= {f for f in FORMATS if FORMATS[f].written}
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
    from safetensors.numpy import load_file, save_file

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
