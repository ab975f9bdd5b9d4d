-- Where the log of a session stands: how far it is projected, if the caller may read it; how far it
-- is archived; what operators have declared void; what was erased; and the id of one known event.
-- Always one row.
SELECT
    a.generation,
    s.seq,
    h.seq,
    h.event_id,
    h.recorded_at,
    (
        SELECT string_agg(p.seq::text, ',' ORDER BY p.seq)
        FROM turnlog.parked AS p
        WHERE p.tenant = %(tenant)s AND p.session_id = %(session_id)s AND p.state = 'skipped'
    ),
    (
        SELECT string_agg(concat_ws(':', e.turn_id, e.seq, e.events), ',' ORDER BY e.turn_id)
        FROM turnlog.erasures AS e
        WHERE e.partition = %(partition)s
            AND e.tenant = %(tenant)s
            AND e.session_id = %(session_id)s
    ),
    (
        SELECT k.event_id
        FROM turnlog.archive AS k
        WHERE k.partition = %(partition)s
            AND k.tenant = %(tenant)s
            AND k.session_id = %(session_id)s
            AND k.seq = %(known_seq)s::bigint
    )
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN turnlog.heads AS h
    ON h.partition = %(partition)s
    AND h.tenant = %(tenant)s
    AND h.session_id = %(session_id)s
WHERE a.only_row
