"""The HTTP query API."""
