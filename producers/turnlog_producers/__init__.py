"""Append chat turns to the log."""
