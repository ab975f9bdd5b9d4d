-- Rows that the scratch tables hold of a session (tenant, session_id), and a generation does not.
COPY (
    SELECT r.* FROM (
        SELECT * FROM pg_temp.{table}
        EXCEPT ALL
        SELECT * FROM {g}.{table} WHERE tenant = %s AND session_id = %s
    ) AS r
    LIMIT 10000
) TO STDOUT
