SELECT DISTINCT partition, tenant, session_id
FROM turnlog.erasures
WHERE partition = ANY (%s) AND turn_id <> ''
