"""Getting files that are not here: downloads that resume, boxes of remote volumes, and what to say offline."""
