SELECT partition, n, session, event_id, epoch, pos
FROM turnlog.offsets
WHERE partition = ANY (%s)
