-- Which events are archived already, and at which seq (a repeat that came after ids was pruned).
SELECT a.tenant, a.session_id, a.event_id, a.seq
FROM unnest(%b::integer[], %b::text[], %b::text[], %b::text[])
    AS key (partition, tenant, session_id, event_id)
JOIN turnlog.archive AS a USING (partition, tenant, session_id, event_id)
WHERE a.repeat_of IS NULL
