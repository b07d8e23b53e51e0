"""All that is wrong with a dataset is told at once, before a model is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_convert_train.buckets import Frame, bucket_sizes, frames
from lora_convert_train.cli import main
from lora_convert_train.dataset import Item, read_dataset
from lora_convert_train.errors import DatasetError
from lora_convert_train.images import pixels
from lora_convert_train.order import Order
from tests.training.photos import write_photos


def damage(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a cut image": (
        damage("000.png", lambda data: data[:200]),
        "000.png: cannot be read as an image",
    ),
    "no image": (
        damage("001.png", lambda data: b"no image"),
        "001.png: cannot be read as an image",
    ),
    "no caption": (lambda folder: (folder / "002.txt").unlink(), "002.png: has no caption"),
    "another encoding": (damage("003.txt", lambda data: b"caf\xe9"), "003.txt: is not UTF-8"),
    "an empty caption": (damage("004.txt", lambda data: b" \n"), "004.txt: is empty"),
    "a caption alone": (
        lambda folder: (folder / "x.txt").write_text("x"),
        "x.txt: is a caption without",
    ),
    "one stem twice": (
        lambda folder: Image.new("RGB", (9, 9)).save(folder / "005.jpg"),
        "005.jpg, 005.png: share the caption file",
    ),
    "a bomb": (damage("006.png", lambda data: bomb()), "006.png: cannot be read as an image"),
    "a folder": (
        lambda folder: ((folder / "007.png").unlink(), (folder / "007.png").mkdir()),
        "007.png: cannot be read as an image",
    ),
    "a caption that is a folder": (
        lambda folder: ((folder / "008.txt").unlink(), (folder / "008.txt").mkdir()),
        "008.txt: cannot be read",
    ),
}
"""What breaks a dataset of nine, and what is said of it."""


def bomb() -> bytes:
    """A PNG that says it is 60,000 pixels wide and high."""
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(head))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
    )


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "nine", ((40, 40),) * 9)


def test_ten_kinds_of_damage_are_one_list(nine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for break_, _ in BREAKS.values():
        break_(nine)
    with pytest.raises(DatasetError) as caught:
        read_dataset(str(nine))
    assert len(caught.value.problems) >= len(BREAKS) == 10
    for _, said in BREAKS.values():
        assert any(said in problem for problem in caught.value.problems), said
    with pytest.raises(SystemExit) as done:
        main(["check", "--train-data-dir", str(nine)])
    assert done.value.code == 2
    told = capsys.readouterr().err
    assert all(said in told for _, said in BREAKS.values())


@pytest.mark.parametrize("name", BREAKS)
def test_each_damage_alone_is_told(nine: Path, name: str) -> None:
    break_, said = BREAKS[name]
    break_(nine)
    with pytest.raises(DatasetError) as caught:
        read_dataset(str(nine))
    assert any(said in problem for problem in caught.value.problems)


def test_no_folder_and_no_images(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none", "no such folder"), (tmp_path, "no images")):
        with pytest.raises(DatasetError, match=said):
            read_dataset(str(path))


def test_captions_of_a_list_a_prompt_and_a_trigger(nine: Path) -> None:
    lines = [json.dumps({"file_name": f"{n:03}.png", "text": f"photo {n}"}) for n in range(9)]
    (nine / "metadata.jsonl").write_text("\n".join(lines))
    assert [item.caption for item in read_dataset(str(nine)).items][:2] == ["photo 0", "photo 1"]
    read = read_dataset(str(nine), instance_prompt="a dog", trigger="sks")
    assert {item.caption for item in read.items} == {"sks, a dog"}
    (nine / "metadata.jsonl").write_text(lines[0] + "\n" + lines[0] + "\n{}\n")
    with pytest.raises(DatasetError) as caught:
        read_dataset(str(nine))
    said = "\n".join(caught.value.problems)
    assert "metadata.jsonl:2: 000.png: has a caption already" in said
    assert "metadata.jsonl:3: is no JSON object" in said
    assert "001.png: has no caption" in said


def test_images_are_seen_as_exif_turns_them(tmp_path: Path) -> None:
    values = np.zeros((20, 40, 3), np.uint8)
    values[:, :20] = 255  # white on the left, which turned by 90° is the top
    image, exif = Image.fromarray(values), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "0.jpg", exif=exif, quality=100)
    (tmp_path / "0.txt").write_text("a")
    item = read_dataset(str(tmp_path)).items[0]
    assert (item.width, item.height) == (20, 40)
    seen = pixels(item.path, Frame((20, 40), 0, 0, (20, 40), (20, 40)))
    assert seen.shape == (3, 40, 20)
    assert seen[:, :16].mean() > 0.9 and seen[:, 24:].mean() < -0.9


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK", "I;16"])
def test_every_mode_becomes_three_colours(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "0.png"
    if mode == "I;16":
        Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(path)
    elif mode == "CMYK":
        path = tmp_path / "0.jpg"
        Image.new(mode, (8, 8), (0, 0, 0, 0)).save(path)
    else:
        Image.new("RGBA", (8, 8), (255, 255, 255, 0)).convert(mode).save(path)
    frame = Frame((8, 8), 0, 0, (8, 8), (8, 8))
    assert pixels(str(path), frame).min() > 0.98  # white, whatever it was stored as


def test_buckets_keep_shapes_at_one_area() -> None:
    sizes = bucket_sizes(512, 64)
    assert (512, 512) in sizes and (704, 320) not in sizes
    for width, height in sizes:
        assert width % 64 == height % 64 == 0
        assert width * height <= 512 * 512
        assert max(width, height) <= 2 * min(width, height)
    wide = Item("", "", 1600, 900, "")
    (frame,) = frames([wide], 512, 64, shapes=True)
    assert frame.size[0] > frame.size[1]
    assert frame.resized[0] >= frame.size[0] and frame.resized[1] >= frame.size[1]
    (square,) = frames([wide], 512, 64, shapes=False)
    assert square.size == (512, 512) and square.resized == (910, 512) and square.left == 199


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_an_epoch_shows_each_image_once_and_each_epoch_another_order(batch_size: int) -> None:
    sizes = ((8, 8),) * 5 + ((16, 4),) * 4
    order = Order(sizes, batch_size, 3)
    count = order.batches_per_epoch
    epochs = [[order.batch(e * count + at) for at in range(count)] for e in range(3)]
    for batches in epochs:
        assert sorted(number for batch in batches for number in batch) == list(range(9))
        assert all(len({sizes[number] for number in batch}) == 1 for batch in batches)
        assert max(map(len, batches)) <= batch_size
    assert epochs[0] != epochs[1] != epochs[2]
    assert order == Order(sizes, batch_size, 3)
