SELECT partition FROM turnlog.offsets ORDER BY partition FOR UPDATE
