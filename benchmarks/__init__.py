"""What the package promises about time and memory, one file a claim. See README.md."""
