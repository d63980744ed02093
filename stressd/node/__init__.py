"""One machine's daemon: a scenario in, a report out."""
