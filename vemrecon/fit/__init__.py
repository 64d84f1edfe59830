"""Training: stages with Lightning, resumable, the same on one and on several devices."""
