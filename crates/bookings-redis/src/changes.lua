-- What changed since, as one state of the log. It writes nothing.
--
-- KEYS: log, head. ARGV: the first entry to return, and how many at most. Answer: these entries, the first that the log keeps,
-- and the cursor of the newest change. A script, since a full server refuses reads that are queued in a transaction
-- (Redis 7.0), and none that a script does.
return {
    redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2]),
    redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1),
    redis.call('HGET', KEYS[2], 'appended'),
}
