-- KEYS the deployment's number   ARGV what it must be ('' = there is none), what it becomes
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
