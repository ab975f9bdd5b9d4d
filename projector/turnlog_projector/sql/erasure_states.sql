-- How far some erasures have come: one array each of partition, tenant, session_id, turn_id. A turn is
-- erased with its session, too.
SELECT
    key.partition, key.tenant, key.session_id, key.turn_id,
    e.events, e.redis_done_at IS NOT NULL, e.files
FROM unnest(%b::integer[], %b::text[], %b::text[], %b::text[])
    AS key (partition, tenant, session_id, turn_id)
JOIN turnlog.erasures AS e
    ON e.partition = key.partition AND e.tenant = key.tenant
    AND e.session_id = key.session_id AND e.turn_id IN (key.turn_id, '')
