-- How many sessions the archive has, and how many of them this generation lacks, holds short of their
-- last event, or holds at an event that the archive does not have there. It is built up to some
-- places in the archive (one array each of partition, pos): what came later is not missed yet. Parked
-- sessions (one array each of partition, tenant, session_id) may end early.
SELECT
    count(*),
    count(*) FILTER (
        WHERE newest.pos <= reached.pos AND s.seq IS DISTINCT FROM h.seq AND p.tenant IS NULL
            OR s.event_id IS DISTINCT FROM a.event_id
    )
FROM turnlog.heads AS h
LEFT JOIN turnlog.archive AS newest
    ON newest.partition = h.partition AND newest.tenant = h.tenant
    AND newest.session_id = h.session_id AND newest.seq = h.seq
LEFT JOIN {g}.sessions AS s ON s.tenant = h.tenant AND s.session_id = h.session_id
LEFT JOIN turnlog.archive AS a
    ON a.partition = h.partition AND a.tenant = h.tenant AND a.session_id = h.session_id
    AND a.seq = s.seq
LEFT JOIN unnest(%b::integer[], %b::bigint[]) AS reached (partition, pos)
    ON reached.partition = h.partition
LEFT JOIN unnest(%b::integer[], %b::text[], %b::text[]) AS p (partition, tenant, session_id)
    ON p.partition = h.partition AND p.tenant = h.tenant AND p.session_id = h.session_id
