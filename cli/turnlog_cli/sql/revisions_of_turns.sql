-- Revisions of some turns of a session, up to an event.
SELECT r.body
FROM {g}.turn_revisions AS r
WHERE r.tenant = %(tenant)s
    AND r.session_id = %(session_id)s
    AND r.turn_id = ANY (%(turn_ids)s::text[])
    AND r.seq <= %(upto)s::bigint
ORDER BY r.seq
