DELETE FROM turnlog.workers
WHERE worker = %(worker)s
