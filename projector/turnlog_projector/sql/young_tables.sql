-- Tables of some schemas that have changed by more than half since they were last analysed.
SELECT schemaname, relname
FROM pg_stat_all_tables
WHERE schemaname = ANY (%s)
    AND n_mod_since_analyze > 500
    AND n_mod_since_analyze > n_live_tup / 2
