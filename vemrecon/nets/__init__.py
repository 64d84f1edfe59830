"""Building blocks of networks: plain torch, no Lightning, nothing of this package but volumes, seeds and errors."""
