-- KEYS head, the barriers of each kind   ARGV for each barrier: the place of its kind among the KEYS, one digit, and itself
-- The answer: for each one, when it was raised, or may have been at most.
local head = redis.call('GET', KEYS[1])
if not head then return 'N' end
if head:byte(1) ~= 2 then return 'F' .. head:sub(1, 1) end
local lineage = head:sub(2, 9)
local seq, flushed = struct.unpack('>I8I8', head, 18)
local floors = {}
for i = 2, #KEYS do floors[i] = math.max(floor_of(KEYS[i], lineage, seq), flushed) end
local raised = {}
for i, asked in ipairs(ARGV) do
  local kind = tonumber(asked:sub(1, 1))
  local score = redis.pcall('ZSCORE', KEYS[kind], asked:sub(2))
  if type(score) ~= 'string' then score = 0 end
  raised[i] = number(math.max(tonumber(score), floors[kind]))
end
return 'R' .. told(head) .. table.concat(raised)
