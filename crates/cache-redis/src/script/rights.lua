-- ARGV a key, a channel, publish and subscribe command, further commands without keys. The commands that this user may not use on them, one a line.
local key, channel = ARGV[1], ARGV[2]
-- A server that calls itself Redis 7 and cannot be asked is not accused.
if not redis.acl_check_cmd then return '' end
local asked = {
  {'GET', key}, {'MGET', key}, {'SET', key, '', 'PX', '1'}, {'DEL', key}, {'PTTL', key},
  {'ZADD', key, '1', 'm'}, {'ZSCORE', key, 'm'}, {'ZCARD', key}, {'ZPOPMIN', key}, {'XADD', key, '0-1', 'e', ''}, {'XTRIM', key, 'MAXLEN', '1'}, {'XRANGE', key, '-', '+'}, {'TIME'}, {'ROLE'}, {'INFO'},
  {'EVAL', 'source', '0'}, {'EVALSHA', 'sha', '0'}, {ARGV[3], channel, ''}, {ARGV[4], channel},
}
for i = 5, #ARGV do
  local words = {}
  for word in ARGV[i]:gmatch('%S+') do words[#words + 1] = word end
  asked[#asked + 1] = words
end
local lacking = {}
for _, command in ipairs(asked) do
  -- A command that was renamed away cannot be asked about, and not be used either.
  local known, allowed = pcall(redis.acl_check_cmd, unpack(command))
  if not known or not allowed then lacking[#lacking + 1] = command[1] end
end
return table.concat(lacking, ' ')
