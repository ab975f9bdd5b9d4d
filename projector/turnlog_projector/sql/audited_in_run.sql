-- Which of some partitions were audited in this run of the Redis server.
SELECT partition FROM turnlog.audits WHERE partition = ANY (%s) AND run_id = %s
