"""Bytes: reading containers and folders, probing, writing whole files or nothing. Knows no LoRA."""
