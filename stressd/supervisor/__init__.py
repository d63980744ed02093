"""Keeping workers at work: their states, their processes, and what they use."""
