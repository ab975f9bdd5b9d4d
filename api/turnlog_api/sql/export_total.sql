-- How much there is to export: sessions, their turns over all branches, and their events.
SELECT
    a.generation,
    count(s.session_id),
    coalesce(sum(s.turn_count), 0)::bigint,
    coalesce(sum(s.seq), 0)::bigint
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {session_filters}
WHERE a.only_row
GROUP BY a.generation
