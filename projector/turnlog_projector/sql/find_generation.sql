-- A generation by its number or its name, both as text; the live one when neither is given.
SELECT generation, state, name, until_recorded_at, until_seq, tenant, session_id
FROM turnlog.generations
WHERE CASE
    WHEN %(wanted)s::text IS NULL THEN generation = (SELECT generation FROM turnlog.active)
    ELSE generation::text = %(wanted)s OR name = %(wanted)s
END
ORDER BY generation::text = %(wanted)s DESC
LIMIT 1
