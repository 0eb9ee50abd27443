-- KEYS head, record, lease   ARGV lineage, token, life in ms ('' = give the lease back), body
local head = redis.call('GET', KEYS[1])
if not head then return 'N' end
if head:byte(1) ~= 2 then return 'F' .. head:sub(1, 3) end
local lineage = ARGV[1]
if head:sub(2, 9) ~= lineage then return 'L' .. told(head) end
local seq, floor = struct.unpack('>I8I8', head, 18)
local lease = redis.call('GET', KEYS[3])
if not stands(lease, lineage, floor) or lease:sub(10, 17) ~= ARGV[2] then return 'X' .. told(head) end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[3])
  return 'R' .. told(head)
end
local expires = now() + tonumber(ARGV[3])
redis.call('SET', KEYS[2], '\2' .. lineage .. struct.pack('>I8I8', seq, expires) .. ARGV[4], 'PX', ARGV[3])
redis.call('DEL', KEYS[3])
return 'S' .. told(head) .. number(expires)
