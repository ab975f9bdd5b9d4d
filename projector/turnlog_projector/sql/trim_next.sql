-- Of some sessions of a partition, as Redis has them: whether a session is quiet, and the ids of the
-- next events that may be trimmed, with seq and recorded_at of the last of them. The places of a
-- session's events rise with their seqs, so those that are old enough come first.
SELECT key.number, quiet.is_quiet, next.ids, next.last_seq, next.last_t
FROM unnest(
    %(tenants)b::text[], %(sessions)b::text[], %(bases)b::bigint[], %(seqs)b::bigint[],
    %(event_ids)b::text[]
) WITH ORDINALITY AS key (tenant, session_id, base, seq, event_id, number)
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM turnlog.archive AS a
        WHERE a.partition = %(partition)s AND a.tenant = key.tenant
            AND a.session_id = key.session_id AND a.seq = key.seq
            AND a.event_id = key.event_id AND a.pos <= %(quiet)s
    ) AS is_quiet
) AS quiet
CROSS JOIN LATERAL (
    SELECT array_agg(event.event_id ORDER BY event.seq) AS ids, max(event.seq) AS last_seq,
        (array_agg(event.recorded_at ORDER BY event.seq DESC))[1] AS last_t
    FROM (
        SELECT a.seq, a.pos, a.event_id, a.recorded_at
        FROM turnlog.archive AS a
        WHERE a.partition = %(partition)s AND a.tenant = key.tenant
            AND a.session_id = key.session_id AND a.seq > key.base
            AND a.seq <= CASE WHEN quiet.is_quiet THEN key.seq ELSE key.seq - %(keep)s::bigint END
        ORDER BY a.seq
        LIMIT %(count)s
    ) AS event
    WHERE event.pos <= %(archived)s
) AS next
WHERE next.ids IS NOT NULL
