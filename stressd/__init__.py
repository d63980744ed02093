"""stressd soaks a feature store: load, a check of every read, metrics and a verdict."""

__version__ = "0.1.0"
