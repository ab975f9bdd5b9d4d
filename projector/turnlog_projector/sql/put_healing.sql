INSERT INTO turnlog.healings (
    kind, partition, tenant, session_id, reason, from_seq, restored, moved, lost
)
VALUES (
    %(kind)s, %(partition)s, %(tenant)s, %(session_id)s, %(reason)s, %(from_seq)s, %(restored)s,
    %(moved)s, %(lost)s
)
