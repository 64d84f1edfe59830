"""Plan runs, execute them, remember what they gave."""
