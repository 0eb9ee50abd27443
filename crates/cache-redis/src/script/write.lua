-- KEYS head, stream, then record and lease of each change, or the barriers of the kind that is raised
-- ARGV lineage, id, payload for the log, payload for the event ('' = the same), channel, log length, publish command,
--      step ('S' stores something, 'F' flushes, 'B' raises a barrier, '' neither), then expected version ('' = any), life
--      in ms ('' = delete), body of each change, or the barrier and how many are kept
local head = redis.call('GET', KEYS[1])
if not head then return 'N' end
if head:byte(1) ~= 2 then return 'F' .. head:sub(1, 3) end
local lineage = ARGV[1]
if head:sub(2, 9) ~= lineage then return 'L' .. told(head) end
local seq, floor = struct.unpack('>I8I8', head, 18)
local last = #ARGV
if ARGV[8] == 'B' then last = 8 end
for i = 9, last, 3 do
  if ARGV[i] ~= '' then
    local found = version_of(redis.call('GET', KEYS[3 + (i - 9) / 3 * 2]), lineage, floor)
    if found ~= tonumber(ARGV[i]) then return 'C' .. told(head) .. number(found) end
  end
end
local at = now()
local prev = head:sub(10, 17)
seq = seq + 1
if ARGV[8] == 'F' then floor = seq - 1 end
head = head_of(lineage, ARGV[2], seq, floor, head:sub(34))
-- The first command that writes decides whether the whole step is refused (read-only, out of memory). A trim is never
-- refused for want of memory: an invalidation must get through when memory is full.
if ARGV[8] ~= 'S' then redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[6]) end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '0-' .. string.format('%.0f', seq), 'e', '\2' .. ARGV[2] .. ARGV[3])
redis.call('SET', KEYS[1], head)
if ARGV[8] == 'B' then
  local barriers = KEYS[3]
  floor_of(barriers, lineage, seq - 1)
  redis.call('ZADD', barriers, seq, ARGV[9])
  local many = redis.call('ZCARD', barriers) - 1 - tonumber(ARGV[10])
  if many > 0 then
    local gone = redis.call('ZPOPMIN', barriers, many + 1)
    redis.call('ZADD', barriers, gone[#gone], floor_entry(lineage))
  end
end
local k = 3
for i = 9, last, 3 do
  if ARGV[i + 1] == '' then
    redis.call('DEL', KEYS[k], KEYS[k + 1])
  else
    local expires = at + tonumber(ARGV[i + 1])
    redis.call('SET', KEYS[k], '\2' .. lineage .. struct.pack('>I8I8', seq, expires) .. ARGV[i + 2], 'PX', ARGV[i + 1])
    redis.call('DEL', KEYS[k + 1])
  end
  k = k + 2
end
local payload = ARGV[4]
if payload == '' then payload = ARGV[3] end
local event = '\2' .. lineage .. ARGV[2] .. prev .. struct.pack('>I8I8', seq, at) .. payload
-- Refused only for want of the right to the channel. The step stands, and the log tells it.
local sent = redis.pcall(ARGV[7], ARGV[5], event)
if type(sent) == 'table' and sent.err then return 'U' .. told(head) .. sent.err end
return 'D' .. told(head)
