"""Real libraries as judges. Without them every test here is skipped."""

import pytest

for library in ("torch", "diffusers", "peft", "transformers", "accelerate"):
    pytest.importorskip(library)
