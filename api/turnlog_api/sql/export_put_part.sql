-- A part of a file, by whoever runs the export: no row when somebody else does, or nobody is to.
WITH told AS (
    {export_tell}
)
INSERT INTO turnlog.export_chunks (export_id, attempt, part, session_ids, bytes)
SELECT told.export_id, %(attempt)s, %(part)s, %(session_ids)s, %(data)s
FROM told
RETURNING export_id
