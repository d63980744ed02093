"""Counting across processes: the shared table, its histograms and its snapshots."""
