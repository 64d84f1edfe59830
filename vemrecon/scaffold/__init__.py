"""Packages of others: how one begins."""
