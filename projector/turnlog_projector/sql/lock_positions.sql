-- How far a generation is, which stays so until the transaction ends.
SELECT partition, pos FROM turnlog.positions WHERE generation = %s ORDER BY partition FOR UPDATE
