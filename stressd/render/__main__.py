"""`python -m stressd.render [FOLDER]` writes all files that are made into the project's folder, the current one."""

import sys
from pathlib import Path

from stressd.files import write_atomically
from stressd.render.files import rendered


def main(folder: str = ".") -> None:
    """Write the files, and say which of them changed."""
    for name, text in rendered().items():
        path = Path(folder) / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(str(path), text)
        print(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
