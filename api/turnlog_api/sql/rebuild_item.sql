json_build_object(
    'rebuild_id', r.rebuild,
    'state', CASE WHEN r.state = 'waiting' AND r.cancel THEN 'cancelled' ELSE r.state END,
    'session_id', r.options::json ->> 'session_id',
    'until', coalesce(
        r.options::json ->> 'until_seq',
        to_char(
            to_timestamp((r.options::json ->> 'until_recorded_at')::bigint / 1000.0)
                AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
        )
    ),
    'name', r.options::json ->> 'name',
    'requested_by', r.requested_by,
    'requested_at', to_char(r.requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'started_at', to_char(r.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'ended_at', to_char(r.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'attempts', r.attempts,
    'cancel', r.cancel,
    'phase', r.phase,
    'done', r.done,
    'total', r.total,
    'generation', r.generation,
    'former', r.former,
    'digest', r.digest,
    'error', r.error
)
