-- Some sessions by chance.
SELECT partition, tenant, session_id FROM turnlog.heads ORDER BY random() LIMIT %s
