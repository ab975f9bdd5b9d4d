-- How far some sessions are projected (0: not at all), in the order of the given arrays.
SELECT
    a.generation,
    coalesce(s.seq, 0)
FROM turnlog.active AS a
CROSS JOIN unnest(%(tenants)s::text[], %(session_ids)s::text[])
    WITH ORDINALITY AS k (tenant, session_id, place)
LEFT JOIN {g}.sessions AS s
    ON s.tenant = k.tenant AND s.session_id = k.session_id
WHERE a.only_row
ORDER BY k.place
