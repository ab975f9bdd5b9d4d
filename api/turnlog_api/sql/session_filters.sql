-- What a list of sessions leaves out.
{seen}
AND NOT s.deleted
AND s.user_id = %(user_id)s --? user_id
AND s.project = %(project)s --? project
AND s.archived = %(archived)s --? archived
AND s.updated_at >= %(since)s::timestamptz --? since
AND s.updated_at < %(until)s::timestamptz --? until
AND (s.updated_at, s.session_id) < (%(last_time)s::timestamptz, %(last_id)s) --? last_id
