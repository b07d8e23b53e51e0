"""From a header to an adapter and from an adapter to a plan: pure functions, no I/O."""
