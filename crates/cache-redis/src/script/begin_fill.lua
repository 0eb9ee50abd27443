-- KEYS head, record, lease   ARGV lineage, token, life of the lease in ms, version that is known to be no good
local head = redis.call('GET', KEYS[1])
if not head then return 'N' end
if head:byte(1) ~= 2 then return 'F' .. head:sub(1, 3) end
local lineage = ARGV[1]
if head:sub(2, 9) ~= lineage then return 'L' .. told(head) end
local seq, floor = struct.unpack('>I8I8', head, 18)
local record = redis.call('GET', KEYS[2])
if version_of(record, lineage, floor) > tonumber(ARGV[4]) then return 'V' .. told(head) .. record end
if stands(redis.call('GET', KEYS[3]), lineage, floor) then
  return 'W' .. told(head) .. number(math.max(redis.call('PTTL', KEYS[3]), 0))
end
redis.call('SET', KEYS[3], '\2' .. lineage .. ARGV[2] .. number(seq), 'PX', ARGV[3])
return 'G' .. told(head)
