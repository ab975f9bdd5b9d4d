json_build_object(
    'export_id', e.export_id,
    'state', e.state,
    'format', e.format,
    'options', e.options::json,
    'requested_by', e.requested_by,
    'requested_at', to_char(e.requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'started_at', to_char(e.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'ended_at', to_char(e.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'expires_at', to_char(
        CASE WHEN e.state = 'done' THEN e.expires_at END AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
    ),
    'attempts', e.attempts,
    'sessions', e.sessions,
    'total_sessions', e.total_sessions,
    'missing', e.missing,
    'done', e.done,
    'total', e.total,
    'bytes', e.bytes,
    'file', CASE WHEN e.state = 'done' THEN '/v1/exports/' || e.export_id || '/file' END,
    'error', e.error
)
