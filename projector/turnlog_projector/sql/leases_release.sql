UPDATE turnlog.leases SET worker = NULL, until = NULL
WHERE worker = %(worker)s
