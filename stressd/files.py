"""Writing files that nobody ever sees half of."""

import os


def write_atomically(path: str, text: str) -> None:
    """Replace a file by a new one with `text`: readers and crashes see the old or the new, never half."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
