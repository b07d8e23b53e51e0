"""The pages of docs/reference, a module each; ``docs/generate.py`` writes them."""
