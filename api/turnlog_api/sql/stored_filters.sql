-- The caller has shown that it may read the session.
t.tenant = %(tenant)s
AND t.session_id = %(session_id)s
AND t.seq > %(after)s::bigint
AND t.seq < %(before)s::bigint
AND t.status <> 'retracted' --? visible
AND t.turn_id <> ALL (%(known)s::text[])
AND EXISTS ( --? path
    SELECT FROM unnest(%(branches)s::text[], %(uptos)s::bigint[]) AS p (branch_id, upto) --? path
    WHERE p.branch_id = t.branch_id AND t.seq <= p.upto --? path
) --? path
