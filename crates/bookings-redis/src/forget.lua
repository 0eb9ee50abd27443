-- Forgets bookings that are over and answers that were given, both before an instant.
--
-- KEYS: bookings, standing, answers, ages, deadlines, over. ARGV: the instant in milliseconds, and how many of each kind at
-- most. Answer: how many of either.
local forgotten = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
    local booking = redis.call('HGET', KEYS[1], id)
    if booking then
        -- A booking begins with its GPU, a zero, and its start as eight bytes: what its member begins with.
        local place = string.sub(booking, 1, string.find(booking, '\0', 1, true) + 8)
        redis.call('ZREM', KEYS[2], place .. id)
        redis.call('HDEL', KEYS[1], id)
    end
    redis.call('ZREM', KEYS[5], id)
    redis.call('ZREM', KEYS[6], id)
    forgotten = forgotten + 1
end
for _, field in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
    redis.call('HDEL', KEYS[3], field)
    redis.call('ZREM', KEYS[4], field)
    forgotten = forgotten + 1
end
return forgotten
