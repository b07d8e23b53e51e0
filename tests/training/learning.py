"""Train on one image, and see the loss fall: ``python -m tests.training.learning [ARCHITECTURE …]``.

Three hundred steps of a rank of 16 on all linear layers, at a rate of 1e-3. The mean of the last tenth is to
be half of that of the first, or less; else the exit code is 1.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from statistics import mean

import torch

from lora_convert_train.settings import Settings
from lora_convert_train.training import train
from tests.oracles.tiny_pipelines import save_pipeline
from tests.training.photos import write_photos
from tests.training.reading import metrics

STEPS = 300


def fallen(architecture: str, folder: Path, steps: int = STEPS) -> float:
    """The mean loss of the last tenth of the steps over that of the first."""
    base = save_pipeline(architecture, folder / "base")
    photos = write_photos(folder / "photos", ((32, 32),))
    asked = Settings(
        pretrained_model_name_or_path=str(base),
        train_data_dir=str(photos),
        output_dir=str(folder / "run"),
        resolution=32,
        bucket_step=8,
        max_train_steps=steps,
        save_steps=steps,
        targets="all-linear",
        learning_rate=1e-3,
        mixed_precision="no",
        device="cpu",
    )
    train(asked)
    losses = [line["loss"] for line in metrics(folder / "run")]
    return mean(losses[-steps // 10 :]) / mean(losses[: steps // 10])


def main() -> None:
    """Print what is left of each loss."""
    torch.set_num_threads(1)
    worst = 0.0
    for architecture in sys.argv[1:] or ("sd1", "flux"):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = os.path.join(folder, "cache")
            left = fallen(architecture, Path(folder))
        print(f"{architecture}: {left:.2f} of the loss is left after {STEPS} steps", flush=True)
        worst = max(worst, left)
    sys.exit(worst > 0.5)


if __name__ == "__main__":
    main()
