"""Writes what is made from the metrics, the criteria and a scenario's objectives; says which files changed.

python -m stressd.render                      all files of the project, into the current folder
python -m stressd.render my.yaml --into DIR   Prometheus's rules and Grafana's boards and alerts for a scenario
"""

import argparse
import sys
from pathlib import Path

from stressd.errors import StressdError
from stressd.files import write_atomically
from stressd.render.files import rendered, rendered_for
from stressd.scenario_file import load, resolve


def main(arguments: list[str]) -> int:
    """Write the files; return the exit code."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m stressd.render", description=__doc__, formatter_class=form)
    parser.add_argument("scenario", nargs="?", help="a scenario file, or the name of a built-in one")
    parser.add_argument("--into", default=".", metavar="DIR", help="the folder to write into (the current one)")
    options = parser.parse_args(arguments)
    try:
        texts = rendered() if options.scenario is None else rendered_for(resolve(load(options.scenario)))
    except StressdError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    for name, text in texts.items():
        path = Path(options.into) / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(str(path), text)
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
