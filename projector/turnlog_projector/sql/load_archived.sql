-- How far some sessions are archived: one array each of partition, tenant, session_id.
SELECT h.partition, h.tenant, h.session_id, h.seq, h.event_id, h.recorded_at, h.parked_seq
FROM unnest(%b::integer[], %b::text[], %b::text[]) AS key (partition, tenant, session_id)
JOIN turnlog.heads AS h USING (partition, tenant, session_id)
