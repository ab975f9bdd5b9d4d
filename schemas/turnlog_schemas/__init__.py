"""Events, validation and the pure fold."""
