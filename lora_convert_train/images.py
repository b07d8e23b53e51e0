"""Pixels of an image, as a VAE takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from lora_convert_train.buckets import Frame


def pixels(path: str, frame: Frame, *, mirrored: bool = False) -> torch.Tensor:
    """float32 (3, height, width) between -1 and 1; turned by EXIF, on white where it is transparent."""
    import numpy as np
    import torch
    from PIL import ImageOps
    from PIL.Image import Resampling, open

    with open(path) as opened:
        image = _flattened(ImageOps.exif_transpose(opened))
    image = image.resize(frame.resized, Resampling.BICUBIC)
    width, height = frame.size
    image = image.crop((frame.left, frame.top, frame.left + width, frame.top + height))
    if mirrored:
        image = ImageOps.mirror(image)
    values = np.array(image, dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(values).permute(2, 0, 1).contiguous()


def _flattened(image: Image) -> Image:
    """8-bit RGB: transparency becomes white, 16 bits are scaled down."""
    from PIL.Image import alpha_composite, new

    if image.mode.startswith(("I", "F")):
        image = image.convert("F").point(lambda value: value / 257).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = new("RGBA", image.size, "white")
        return alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
