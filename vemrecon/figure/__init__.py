"""Figures of sections for a paper: which volumes, where they are cut, and how the pictures lie."""
