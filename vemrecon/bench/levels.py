"""How far a row of a leaderboard has been verified."""

from __future__ import annotations

from typing import Final, Literal, get_args

Level = Literal["reported", "rescored", "reconstructed", "retrained"]
"""See `LEVEL_WORDS`."""
LEVELS: Final[tuple[str, ...]] = get_args(Level)
"""From the least on."""
LEVEL_WORDS: Final = {
    "reported": "as it was handed in",
    "rescored": "scores computed again from its reconstruction",
    "reconstructed": "reconstruction made again from its weights",
    "retrained": "trained again",
}
SUBMISSION: Final = "submission"
"""Name of the artifact that makes a result one that was handed in."""
VERIFICATION: Final = "verification"
"""Name of the artifact that says how far it was verified."""
