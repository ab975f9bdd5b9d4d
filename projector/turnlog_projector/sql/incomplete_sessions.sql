-- Sessions that a generation holds short of their last event, although it is as far as that event
-- (one array each of partition, place). Those that have events behind it are not told: folding these
-- shows whether it goes on from where it is.
SELECT h.partition, h.tenant, h.session_id
FROM turnlog.heads AS h
JOIN turnlog.archive AS newest
    ON newest.partition = h.partition AND newest.tenant = h.tenant
    AND newest.session_id = h.session_id AND newest.seq = h.seq
JOIN unnest(%b::integer[], %b::bigint[]) AS reached (partition, pos)
    ON reached.partition = h.partition AND newest.pos <= reached.pos
LEFT JOIN {g}.sessions AS s ON s.tenant = h.tenant AND s.session_id = h.session_id
WHERE s.seq IS DISTINCT FROM h.seq
ORDER BY h.partition, h.tenant, h.session_id
