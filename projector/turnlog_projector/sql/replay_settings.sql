-- For the transaction that makes the indexes.
SELECT
    set_config('maintenance_work_mem', '256MB', true),
    set_config('synchronous_commit', 'off', true)
