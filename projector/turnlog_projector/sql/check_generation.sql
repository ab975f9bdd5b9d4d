-- How many sessions the archive has, and how many of them are not in this generation at their last
-- archived event, those parked in it (one array each of partition, tenant, session_id) left out.
SELECT
    count(*),
    count(*) FILTER (
        WHERE (p.tenant IS NULL AND s.seq IS DISTINCT FROM a.seq)
            OR s.event_id IS DISTINCT FROM a.event_id AND s.seq = a.seq
    )
FROM turnlog.heads AS h
LEFT JOIN {g}.sessions AS s ON s.tenant = h.tenant AND s.session_id = h.session_id
LEFT JOIN turnlog.archive AS a
    ON a.partition = h.partition AND a.tenant = h.tenant AND a.session_id = h.session_id
    AND a.seq = s.seq
LEFT JOIN unnest(%b::integer[], %b::text[], %b::text[]) AS p (partition, tenant, session_id)
    ON p.partition = h.partition AND p.tenant = h.tenant AND p.session_id = h.session_id
