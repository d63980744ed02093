"""What to say about a name that does not exist: the nearest that does, or all there are."""

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean rate?` if a known name is near, else `there are mix, rate`."""
    names = sorted(known)
    by_lower_case = {known_name.lower(): known_name for known_name in names}
    if near := get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6):
        return f"did you mean {by_lower_case[near[0]]}?"
    return f"there are {', '.join(names)}" if names else "there are none"
