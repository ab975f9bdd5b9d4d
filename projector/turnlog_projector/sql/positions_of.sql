SELECT partition, pos FROM turnlog.positions WHERE generation = %s ORDER BY partition
