"""How a scenario comes about: a file or a built-in one, then what the command line changes.

The only reader of YAML. `load` reads, `resolve` validates and shapes (all mistakes at once, each with its
place), `reload_of` tells what a running soak may take over of it, `dump` writes the outcome as YAML,
`expand_secrets` fills in what a target's options only point at, and `without_secrets` leaves out what may not be
kept of them.
"""

from stressd.scenario_file.loading import Builtin, Loaded, builtins, load
from stressd.scenario_file.reloading import Reload, reload_of
from stressd.scenario_file.resolving import dump, resolve
from stressd.scenario_file.secrets import expand_secrets, without_secrets

__all__ = [
    "Builtin",
    "Loaded",
    "Reload",
    "builtins",
    "dump",
    "expand_secrets",
    "load",
    "reload_of",
    "resolve",
    "without_secrets",
]
