-- How far some erasures have come: one array each of partition, tenant, session_id, turn_id. A turn is
-- erased with its session, too. A generation that is being built may hold what it had copied before,
-- until it comes to the erasing event.
SELECT
    key.partition, key.tenant, key.session_id, key.turn_id,
    e.events,
    e.redis_done_at IS NOT NULL,
    e.files,
    NOT EXISTS (
        SELECT FROM turnlog.generations AS g
        LEFT JOIN turnlog.positions AS p
            ON p.generation = g.generation AND p.partition = e.partition
        WHERE g.state = 'building'
            AND g.created_at <= coalesce(e.redis_done_at, clock_timestamp())
            AND coalesce(p.pos, 0) < (
                SELECT a.pos FROM turnlog.archive AS a
                WHERE a.partition = e.partition AND a.tenant = e.tenant
                    AND a.session_id = e.session_id AND a.seq = e.seq
            )
    )
FROM unnest(%b::integer[], %b::text[], %b::text[], %b::text[])
    AS key (partition, tenant, session_id, turn_id)
JOIN turnlog.erasures AS e
    ON e.partition = key.partition AND e.tenant = key.tenant
    AND e.session_id = key.session_id AND e.turn_id IN (key.turn_id, '')
