-- Whether any rebuild waits or runs.
SELECT EXISTS (SELECT FROM turnlog.rebuilds WHERE state IN ('waiting', 'running'))
