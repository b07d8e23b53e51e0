"""Small files that torch itself writes, to begin a campaign from."""

from __future__ import annotations

import argparse
import collections
import sys
from io import BytesIO

import numpy

from fixtures.hostile.assembling import A, B


def of_torch() -> list[bytes]:
    """Files that torch writes, where it is installed."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    weights = {A: torch.ones(2, 4), B: torch.ones(2, 4).t(), "alpha": torch.tensor(2.0)}
    state = collections.OrderedDict(weights)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    around = {
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "loss": 0.5,
        "done": True,
        "none": None,
    }
    config = {"r": 2, "lora_alpha": 4.0, "target_modules": ["a", "b"], "rank_pattern": {"x": 4}}
    numbers = [numpy.float32(1), numpy.arange(3), {1, 2}, (1, 2, 3, 4), b"x", 1 << 70, 1 + 2j]
    kinds = {
        f"x{n}": torch.ones(2, dtype=kind)
        for n, kind in enumerate((torch.bfloat16, torch.uint16, torch.bool))
    }
    payloads = (
        weights,
        {"state_dict": state, "lora_config": config, **around},
        {
            "model": {**weights, "p": parameter},
            "args": argparse.Namespace(lora_alpha=4, lora_rank=2),
        },
        {"unet": weights, "numbers": numbers, "metadata": {"a": "b"}, "kinds": kinds},
    )
    files = []
    for payload in payloads:
        for protocol in (2, 5):
            file = BytesIO()
            torch.save(payload, file, pickle_protocol=protocol)
            files.append(file.getvalue())
    return files
