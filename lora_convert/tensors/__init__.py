"""Tensors as values: dtypes, expressions over tensors not yet read, and the bytes they stand for."""
