"""A worker: the process, its lanes, and what it is told."""
