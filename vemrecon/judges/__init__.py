"""What finds things in volumes and compares them with labels and truth: segmenters, and trackers of objects."""
