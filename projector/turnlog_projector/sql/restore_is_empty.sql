-- Whether the database holds nothing of a log yet.
SELECT NOT EXISTS (SELECT FROM turnlog.archive)
    AND NOT EXISTS (SELECT FROM turnlog.heads)
    AND NOT EXISTS (SELECT FROM turnlog.offsets WHERE pos > 0 OR n > 0)
