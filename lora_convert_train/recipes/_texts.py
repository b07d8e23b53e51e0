"""Captions as text encoders take them, and texts of unequal length in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]


def tokens(
    tokenizer: Any, captions: list[str], longest: int | None = None, *, to_longest: bool = False
) -> Any:
    """``input_ids`` and ``attention_mask``, (B, tokens): cut to what the encoder reads, and to `longest`.

    Filled up to just that, or with `to_longest` to the longest caption.
    """
    most = tokenizer.model_max_length
    return tokenizer(
        captions,
        padding="longest" if to_longest else "max_length",
        max_length=min(most, longest) if longest else most,
        truncation=True,
        return_tensors="pt",
    )


def chats(tokenizer: Any, captions: list[str], *, thinking: bool) -> list[str]:
    """Each caption as what a user says to a language model, whose answer comes next."""
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": caption}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
        for caption in captions
    ]


def filled_up(texts: list[Tensors]) -> Tensors:
    """``context`` of texts, (tokens, width), as one (B, tokens, width), filled up with zeros.

    Where texts differ in length, a ``mask`` too: (B, tokens), 1 where a token is.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    contexts = [text["context"] for text in texts]
    context = pad_sequence(contexts, batch_first=True)
    if all(len(one) == context.shape[1] for one in contexts):
        return {"context": context}
    held = [one.new_ones(len(one), dtype=torch.long) for one in contexts]
    return {"context": context, "mask": pad_sequence(held, batch_first=True)}
