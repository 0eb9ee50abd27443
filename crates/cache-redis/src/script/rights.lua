-- ARGV a key, a channel, publish and subscribe command, 'clustered' or ''. The commands that this user may not use on them, one a line.
local key, channel = ARGV[1], ARGV[2]
local asked = {
  {'GET', key}, {'MGET', key}, {'SET', key, '', 'PX', '1'}, {'DEL', key}, {'PTTL', key},
  {'XADD', key, '0-1', 'e', ''}, {'XTRIM', key, 'MAXLEN', '1'}, {'XRANGE', key, '-', '+'}, {'TIME'}, {'ROLE'}, {'INFO'},
  {'EVALSHA', 'sha', '0'}, {'MULTI'}, {'EXEC'}, {ARGV[3], channel, ''}, {ARGV[4], channel},
}
if ARGV[5] == 'clustered' then
  asked[#asked + 1] = {'CLUSTER', 'SLOTS'}
  asked[#asked + 1] = {'ASKING'}
end
local lacking = {}
for _, command in ipairs(asked) do
  if not redis.acl_check_cmd(unpack(command)) then lacking[#lacking + 1] = command[1] end
end
return table.concat(lacking, ' ')
