-- Which events are archived at some places: one array each of partition, tenant, session_id, seq.
SELECT a.partition, a.tenant, a.session_id, a.seq, a.event_id
FROM unnest(%b::integer[], %b::text[], %b::text[], %b::bigint[])
    AS key (partition, tenant, session_id, seq)
JOIN turnlog.archive AS a USING (partition, tenant, session_id, seq)
