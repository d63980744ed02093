"""A target that does nothing: what is left is stressd's own cost."""

from typing import ClassVar

from stressd.targets.protocol import Abilities, Frames


class NoopTarget:
    """Stores nothing and says so: no content is made for it, and reads have nothing to check."""

    abilities: ClassVar = Abilities(storage=False)

    def setup(self) -> None:
        """Nothing to prepare."""

    def teardown(self) -> None:
        """Nothing to undo."""

    def open(self) -> "NoopSession":
        """Return a session."""
        return NoopSession()


class NoopSession:
    """Answers at once."""

    _nothing: ClassVar[Frames] = {}

    def save(self, group: str, features: Frames) -> None:
        """Accept and forget."""

    def read(self, group: str, names: list[str]) -> Frames:  # noqa: ARG002 - the protocol's signature
        """Return the same empty mapping each time."""
        return self._nothing

    def close(self) -> None:
        """Nothing to let go of."""
