-- Up to where each generation that is not live holds a session: a place in the archive of its
-- partition, and a seq where the generation has one as its end. The places stay locked, so that a
-- replay or a rollback that brings the generation further waits for whoever refolds the session.
SELECT
    g.generation,
    g.state,
    p.pos,
    CASE
        WHEN g.until_recorded_at IS NOT NULL THEN (
            SELECT coalesce(max(a.seq), 0)
            FROM turnlog.archive AS a
            WHERE a.partition = p.partition AND a.tenant = %(tenant)s
                AND a.session_id = %(session_id)s AND a.recorded_at <= g.until_recorded_at
        )
        ELSE g.until_seq
    END
FROM turnlog.generations AS g
JOIN turnlog.positions AS p USING (generation)
WHERE p.partition = %(partition)s
    AND (g.session_id IS NULL OR (g.tenant, g.session_id) = (%(tenant)s, %(session_id)s))
ORDER BY g.generation
FOR UPDATE OF p
