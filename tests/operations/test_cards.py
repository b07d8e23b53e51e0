"""Pages of repositories: what the Hub reads in them, what people see, and what they changed."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from safetensors.numpy import save_file

from lora_convert.operations.cards import Card, Image, card_of
from lora_convert.operations.publication import Publication, publication
from lora_convert.operations.publishing import PublishedFormat, converted

HOSTILE = "<script>alert(1)</script> | [x](javascript:y) `z` \n# not a heading"


def lora(path: Path) -> str:
    """Widths of SD1, and nothing that names its base."""
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    draw = np.random.default_rng(0)
    shapes = {"lora_down": (4, 768), "lora_up": (320, 4)}
    tensors = {
        f"{module}.{part}.weight": draw.standard_normal(shape).astype(np.float32)
        for part, shape in shapes.items()
    }
    save_file({**tensors, f"{module}.alpha": np.array(2, np.float32)}, path, {"format": "pt"})
    return str(path)


class Page(HTMLParser):
    """What a page shows, by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shown: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(MarkdownIt("commonmark").enable("table").render(text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.shown.setdefault(tag, []).append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.shown[self._open[-1]][-1] += data


@pytest.fixture
def made(tmp_path: Path) -> tuple[Publication, tuple[PublishedFormat, ...]]:
    source = lora(tmp_path / "shoes.safetensors")
    found = publication(source, instance_prompt="sks shoes")
    return found, converted(found, ("diffusers", "kohya", "peft"), str(tmp_path / "out"))


@pytest.fixture
def card(made: tuple[Publication, tuple[PublishedFormat, ...]]) -> Card:
    return card_of(*made, [Image("images/0.png", "sks shoes: in 'snow'")], "me/shoes")


def header(text: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(text.split("---\n")[1])
    return found


def body(text: str) -> str:
    return text.split("---\n", 2)[2]


def test_the_header_says_what_the_hub_asks(card: Card) -> None:
    said = header(card.text())
    assert said["base_model"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert said["base_model_relation"] == "adapter"
    assert said["license"] == "creativeml-openrail-m"
    assert said["instance_prompt"] == "sks shoes"
    assert {"lora", "diffusers", "text-to-image", "sd1"} <= {*said["tags"]}  # type: ignore[misc]
    output = {"url": "images/0.png"}
    assert said["widget"] == [{"text": "sks shoes: in 'snow'", "output": output}]


def test_people_see_files_with_hashes_and_how_to_use_them(
    card: Card, made: tuple[Publication, tuple[PublishedFormat, ...]]
) -> None:
    shown = Page(body(card.text())).shown
    cells = shown["td"]
    for one in made[1]:
        for file in one.files:
            assert any(file.name in link for link in shown["a"])
            assert file.sha256 in shown["code"]
        assert one.format in cells
        assert ", ".join(one.titles) in cells
    (code,) = (text for text in shown["code"] if "import" in text)
    compile(code, "page", "exec")
    assert 'load_lora_weights("me/shoes"' in code
    assert any("inferred" in text for text in cells)
    assert {"Trigger words", "Files", "How to use it", "Licence"} <= {*shown["h2"]}


def test_the_base_that_is_told_is_not_inferred(tmp_path: Path) -> None:
    source = lora(tmp_path / "shoes.safetensors")
    found = publication(source, base_models=("me/turbo", "me/raw"))
    text = card_of(found, converted(found, ("kohya",), str(tmp_path / "out")), [], "me/x").text()
    assert header(text)["base_model"] == ["me/turbo", "me/raw"]
    assert "inferred" not in text
    assert "library_name" not in header(text)


def test_text_of_files_does_not_write_the_page(tmp_path: Path) -> None:
    source = lora(tmp_path / "shoes.safetensors")
    found = publication(source, title=HOSTILE, instance_prompt=HOSTILE)
    found = found._replace(training={"steps | x": HOSTILE})
    made = converted(found, ("kohya",), str(tmp_path / "out"))
    text = card_of(found, made, [Image("images/0.png", HOSTILE)], "me/x").text()
    shown = Page(body(text)).shown
    assert "script" not in shown
    assert not [link for link in shown["a"] if link.startswith("javascript")]
    assert len(shown["h1"]) == 1
    assert header(text)["instance_prompt"] == HOSTILE


def test_what_people_changed_stays(card: Card) -> None:
    text = card.text()
    assert card.over(text, ()) == text
    edited = text.replace("license: creativeml-openrail-m", "license: mit")
    edited = edited.replace("## Trigger words", "I made this.\n\n## Trigger words", 1)
    edited = edited.replace("# Shoes", "# My *best* shoes\n\nBy me.")
    new = card._replace(sections={**card.sections, "files": "## Files\n\nothers", "more": "x"})
    page = new.over(edited, ())
    assert header(page)["license"] == "mit"
    assert "# My *best* shoes\n\nBy me." in page
    assert "others" in page and card.sections["files"] not in page
    assert page.rstrip().endswith("x\n<!-- lora-convert: end -->")
    assert new.over(page, ()) == page
    assert header(new.over(edited, ("license",)))["license"] == "creativeml-openrail-m"


@pytest.mark.parametrize(
    "old", ["", "# By hand\n", "---\nlicense: mit\n---\ntext", "---\n: [\n---\n"]
)
def test_pages_by_hand_are_kept_whole(card: Card, old: str) -> None:
    page = card.over(old, ())
    assert body(page).strip().startswith(old.rpartition("---\n")[2].strip())
    assert all(text in page for text in card.sections.values())
    assert header(page)["license"] == ("mit" if "mit" in old else "creativeml-openrail-m")
    assert json.dumps(header(page))
