"""IsoVEM and IsoVEM+: a video transformer that super-resolves one axis and fills blanked sections."""
