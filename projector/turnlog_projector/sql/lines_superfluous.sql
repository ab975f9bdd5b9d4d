-- Rows that a generation holds of a session (tenant, session_id), and the scratch tables do not.
COPY (
    SELECT r.* FROM (
        SELECT * FROM {g}.{table} WHERE tenant = %s AND session_id = %s
        EXCEPT ALL
        SELECT * FROM pg_temp.{table}
    ) AS r
    LIMIT 10000
) TO STDOUT
