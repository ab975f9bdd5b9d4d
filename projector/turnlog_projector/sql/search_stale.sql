-- Sessions of which the rows are to be made again, those first that wait longest.
SELECT partition, tenant, session_id, done
FROM turnlog.search_stale
WHERE generation = %(generation)s AND partition = ANY (%(partitions)s::integer[])
ORDER BY at
LIMIT %(count)s
