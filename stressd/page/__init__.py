"""What browsers are shown: the live page, and the report that is the same picture, frozen. No code of ours runs here.

`index.html` and `page.js` ask the daemon; `report.html` and `report.js` have their data with them. Both use the scripts
`charts.js`, `words.js` and `theme.js`, and `page.css`. Nothing is loaded from elsewhere.
"""

from importlib.resources import files


def asset(name: str) -> bytes:
    """Return one of the files beside this one."""
    return (files(__name__) / name).read_bytes()
