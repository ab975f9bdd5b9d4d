-- Note what was erased: one array each of turn_id ('' for the session), seq of the erasing event, and
-- how many events became stubs; then one array each of turn_id and seq of a stub.
INSERT INTO turnlog.erasures AS e (
    partition, tenant, session_id, turn_id, seq, events, seqs
)
SELECT
    %(partition)s, %(tenant)s, %(session_id)s, row.turn_id, row.seq, row.events,
    ARRAY(
        SELECT stub.seq
        FROM unnest(%(stub_turns)b::text[], %(stub_seqs)b::bigint[]) AS stub (turn_id, seq)
        WHERE stub.turn_id = row.turn_id
        ORDER BY stub.seq
    )
FROM unnest(%(turn_ids)b::text[], %(seqs)b::bigint[], %(events)b::bigint[])
    AS row (turn_id, seq, events)
ON CONFLICT (partition, tenant, session_id, turn_id) DO UPDATE SET
    at = now(),
    events = e.events + excluded.events,
    seqs = e.seqs || excluded.seqs,
    redis_done_at = NULL,
    files_done_at = NULL
WHERE excluded.events > 0
