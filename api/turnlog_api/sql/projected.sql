-- How far some sessions are projected (0: not at all), in the order of the given arrays.
SELECT
    a.generation,
    k.seq
FROM turnlog.active AS a
CROSS JOIN unnest({g}.projected(%(tenants)s::text[], %(session_ids)s::text[]))
    WITH ORDINALITY AS k (seq, place)
WHERE a.only_row
ORDER BY k.place
