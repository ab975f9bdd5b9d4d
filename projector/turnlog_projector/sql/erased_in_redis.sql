-- Redis is clean of some erasures, as many stubs as they had: one array each of partition, tenant,
-- session_id, turn_id, events. One that has got more stubs since is left for the next time.
UPDATE turnlog.erasures AS e SET redis_done_at = clock_timestamp()
FROM unnest(%b::integer[], %b::text[], %b::text[], %b::text[], %b::bigint[])
    AS done (partition, tenant, session_id, turn_id, events)
WHERE e.partition = done.partition AND e.tenant = done.tenant
    AND e.session_id = done.session_id AND e.turn_id = done.turn_id
    AND e.events = done.events
