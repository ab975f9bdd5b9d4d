-- Whether an export waits for somebody to run it, and whether some are to be swept.
SELECT wanted, stale FROM turnlog.exports_due()
