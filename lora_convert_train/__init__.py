"""The trainer whose runs feed lora-convert."""

__version__ = "0.1.0"
