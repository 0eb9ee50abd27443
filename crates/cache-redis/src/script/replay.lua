-- KEYS head, stream   ARGV the first entry to read. Answer: head and entries, of one instant.
-- A script, since a full server refuses reads that are queued in a transaction (Redis 7.0), and none that a script does.
return {redis.call('GET', KEYS[1]), redis.call('XRANGE', KEYS[2], ARGV[1], '+')}
