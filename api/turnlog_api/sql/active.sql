SELECT generation FROM turnlog.active
