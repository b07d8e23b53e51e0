"""Images and captions as the denoiser takes them: encoded once, cached, put together to batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert_train.cache import Cache, filled, key_of
from lora_convert_train.images import pixels
from lora_convert_train.recipes import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from lora_convert_train.buckets import Frame
    from lora_convert_train.dataset import Dataset
    from lora_convert_train.recipes import Recipe

    Tensors = dict[str, torch.Tensor]

_CAPTIONS_AT_ONCE = 8


class Encoded(NamedTuple):
    """What a dataset became: keys in a cache."""

    cache: Cache
    images: tuple[tuple[str, ...], ...]
    """Of each item: the key of its latents, and with flips that of its mirror image."""
    texts: dict[str, str]
    """By caption; empty where captions are encoded in every step."""
    made: int
    """How many were not in the cache before."""


class Work(NamedTuple):
    """What has to be encoded, and by what."""

    recipe: Recipe
    dataset: Dataset
    frames: tuple[Frame, ...]
    device: torch.device
    dtype: torch.dtype

    def run(self, cache: Cache) -> Encoded:
        """Encode what the cache has not; encoders are loaded only for that, and let go of after it."""
        settings = self.recipe.settings
        images = self._image_keys(cache, mirrored=settings.random_flip)
        flat = {key: number for number, key in enumerate(k for keys in images for k in keys)}
        made = self._fill(cache, flat, self.recipe.image_parts, self._images, at_once=1)
        texts: dict[str, str] = {}
        if not settings.train_text_encoder:
            captions = list(dict.fromkeys([*(item.caption for item in self.dataset.items), ""]))
            identity = self._identity(cache, self.recipe.text_parts)
            texts = {one: key_of("text", one, identity, str(self.dtype)) for one in captions}
            numbers = {key: captions.index(one) for one, key in texts.items()}
            made += self._fill(
                cache,
                numbers,
                self.recipe.text_parts,
                lambda some: self._texts([captions[number] for number in some]),
                at_once=_CAPTIONS_AT_ONCE,
            )
        return Encoded(cache, images, texts, made)

    def _fill(self, cache, keys, parts, make, *, at_once: int) -> int:  # type: ignore[no-untyped-def]
        import torch

        if all(cache.has(key) for key in keys):
            return 0
        self.recipe.load_encoders(*parts, device=self.device, dtype=self.dtype)
        try:
            with torch.no_grad():
                return filled(cache, keys, make, at_once)
        finally:
            self.recipe.free_encoders()

    def _identity(self, cache: Cache, parts: Sequence[str]) -> list[object]:
        """What the encoded depends on: the recipe, and of the base classes and the content of files."""
        base = self.recipe.base
        files = (
            [part, base.index[part], [cache.digest_of(path) for path in base.files(part)]]
            for part in parts
        )
        return [self.recipe.architecture, *files]

    def _image_keys(self, cache: Cache, *, mirrored: bool) -> tuple[tuple[str, ...], ...]:
        identity = self._identity(cache, self.recipe.image_parts)
        sides = (False, True) if mirrored else (False,)
        return tuple(
            tuple(key_of("image", item.digest, frame, side, identity) for side in sides)
            for item, frame in zip(self.dataset.items, self.frames, strict=True)
        )

    def _images(self, numbers: list[int]) -> list[Tensors]:
        import torch

        sides = 2 if self.recipe.settings.random_flip else 1
        found = []
        for number in numbers:
            item, side = divmod(number, sides)
            path, frame = self.dataset.items[item].path, self.frames[item]
            one = pixels(path, frame, mirrored=bool(side))[None].to(self.device, torch.float32)
            encoded = self.recipe.encode_images(one)
            found.append({name: tensor[0].cpu() for name, tensor in encoded.items()})
        return found

    def _texts(self, captions: list[str]) -> list[Tensors]:
        return [
            {name: tensor.cpu() for name, tensor in text.items()}
            for text in self.recipe.encode_texts(captions)
        ]


def batch_of(
    work: Work, encoded: Encoded, numbers: Sequence[int], generator: torch.Generator
) -> Batch:
    """Items as a batch on the device; flips, dropped captions and posteriors are drawn from `generator`."""
    import torch

    recipe, settings = work.recipe, work.recipe.settings
    draws = torch.rand(len(numbers), 2, generator=generator).tolist()
    keys, captions = [], []
    for number, (flip, drop) in zip(numbers, draws, strict=True):
        sides = encoded.images[number]
        keys.append(sides[int(flip * len(sides))])
        caption = work.dataset.items[number].caption
        captions.append("" if drop < settings.caption_dropout else caption)
    images = [encoded.cache.get(key) for key in keys]
    posterior = {name: torch.stack([one[name] for one in images]).float() for name in images[0]}
    shape = next(iter(posterior.values())).shape
    noise = torch.randn(shape, generator=generator)
    latents = recipe.latents(posterior, noise).to(work.device)
    if encoded.texts:
        texts = [encoded.cache.get(encoded.texts[caption]) for caption in captions]
    else:
        texts = recipe.encode_texts(captions)
    told = {name: one.to(work.device) for name, one in recipe.stacked(texts).items()}
    frames = tuple(work.frames[number] for number in numbers)
    return Batch(latents, told, frames, generator, work.dtype)
