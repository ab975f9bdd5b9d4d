-- Redis has come back with the text of erasures: one array each of partition, tenant, session_id,
-- turn_id.
UPDATE turnlog.erasures AS e SET redis_done_at = NULL, files_done_at = NULL
FROM unnest(%b::integer[], %b::text[], %b::text[], %b::text[])
    AS found (partition, tenant, session_id, turn_id)
WHERE e.partition = found.partition AND e.tenant = found.tenant
    AND e.session_id = found.session_id AND e.turn_id = found.turn_id
