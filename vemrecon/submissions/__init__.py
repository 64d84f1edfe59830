"""Results that are handed in, and how far they have been verified: `vemrecon submit`, `verify`, `leaderboard`."""
