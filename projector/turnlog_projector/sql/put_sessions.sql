-- Put rows of sessions: one array a column, in the order of tables.py.
INSERT INTO {g}.sessions (
    tenant, session_id, user_id, project, title, visibility, archived, pinned, deleted,
    created_at, updated_at, turn_count, seq, body, event_id, started, erased, floor,
    last_turn_id, last_turn_seq, title_turn_id, tip_turn_id, branches, ignored
)
SELECT
    tenant, session_id, user_id, project, title, visibility, archived, pinned, deleted,
    created_at::timestamptz, updated_at::timestamptz, turn_count, seq, body, event_id,
    started, erased, floor, last_turn_id, last_turn_seq, title_turn_id, tip_turn_id,
    branches, ignored
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::boolean[],
    %b::boolean[], %b::boolean[], %b::text[], %b::text[], %b::bigint[], %b::bigint[],
    %b::text[], %b::text[], %b::boolean[], %b::boolean[], %b::bigint[], %b::text[],
    %b::bigint[], %b::text[], %b::text[], %b::bigint[], %b::bigint[]
) AS row (
    tenant, session_id, user_id, project, title, visibility, archived, pinned, deleted,
    created_at, updated_at, turn_count, seq, body, event_id, started, erased, floor,
    last_turn_id, last_turn_seq, title_turn_id, tip_turn_id, branches, ignored
)
ON CONFLICT (tenant, session_id) DO UPDATE SET
    user_id = excluded.user_id,
    project = excluded.project,
    title = excluded.title,
    visibility = excluded.visibility,
    archived = excluded.archived,
    pinned = excluded.pinned,
    deleted = excluded.deleted,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    turn_count = excluded.turn_count,
    seq = excluded.seq,
    body = excluded.body,
    event_id = excluded.event_id,
    started = excluded.started,
    erased = excluded.erased,
    floor = excluded.floor,
    last_turn_id = excluded.last_turn_id,
    last_turn_seq = excluded.last_turn_seq,
    title_turn_id = excluded.title_turn_id,
    tip_turn_id = excluded.tip_turn_id,
    branches = excluded.branches,
    ignored = excluded.ignored
