-- The rebuild that has waited longest.
SELECT rebuild FROM turnlog.rebuilds WHERE state = 'waiting' AND NOT cancel ORDER BY rebuild LIMIT 1
