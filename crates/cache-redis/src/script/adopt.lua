-- KEYS head, stream, in a barrier shard the barriers of each kind
-- ARGV lineage to supersede ('' = there is no head), new lineage, id, highest number known,
--      payload, channel, publish command
local head = redis.call('GET', KEYS[1])
if head and head:byte(1) ~= 2 then return 'F' .. head:sub(1, 3) end
if head and head:sub(2, 9) == ARGV[2] then return 'D' .. told(head) end
if not head and ARGV[1] ~= '' then return 'N' end
if head and head:sub(2, 9) ~= ARGV[1] then return 'L' .. told(head) end
local seq, prev, tail = 0, '\0\0\0\0\0\0\0\0', '\0'
if head then seq, prev, tail = struct.unpack('>I8', head, 18), head:sub(10, 17), head:sub(42) end
local floor = math.max(seq, tonumber(ARGV[4]))
seq = floor + 1
-- Told by the server that runs this: a request may have been led to another one than it was packed for.
local run = redis.call('INFO', 'server'):match('run_id:(' .. ('%x'):rep(16) .. ')')
local mark = run:gsub('%x%x', function(digits) return string.char(tonumber(digits, 16)) end)
head = head_of(ARGV[2], ARGV[3], seq, floor, mark .. tail)
-- Numbers may jump here, and a log has no holes: it starts anew. Who asks for older entries sees the new lineage.
redis.call('DEL', KEYS[2])
redis.call('XADD', KEYS[2], '0-' .. string.format('%.0f', seq), 'e', '\2' .. ARGV[3] .. ARGV[5])
redis.call('SET', KEYS[1], head)
for i = 3, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('ZADD', KEYS[i], floor, floor_entry(ARGV[2]))
end
local event = '\2' .. ARGV[2] .. ARGV[3] .. prev .. struct.pack('>I8I8', seq, now()) .. ARGV[5]
local sent = redis.pcall(ARGV[7], ARGV[6], event)
if type(sent) == 'table' and sent.err then return 'U' .. told(head) .. sent.err end
return 'D' .. told(head)
