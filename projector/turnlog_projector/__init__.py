"""Fold the log into Postgres read models."""
