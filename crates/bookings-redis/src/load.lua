-- What a request is decided over, as one state of the store. It writes nothing.
--
-- KEYS: gpus, bookings, standing, answers. ARGV: the field of the request's answer or '', the first instant after the start
-- that is asked about as eight bytes, how many later bookings to return for each GPU at most (-1: all), the number of
-- bookings that are named, their names, and GPUs. The GPUs of named bookings are returned too, each GPU once.
-- Answer: seconds and microseconds of the server's clock, the answer under the key, the named bookings, and for each GPU its
-- name, its record, the number of later bookings, and its bookings: the last that starts no later, then the later ones.
local answer_field, after, limit, named = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local gpus, known = {}, {}
local function note(gpu)
    if not known[gpu] then
        known[gpu] = true
        gpus[#gpus + 1] = gpu
    end
end

local bookings = {}
for index = 5, 4 + named do
    local booking = redis.call('HGET', KEYS[2], ARGV[index])
    if booking then
        -- A booking begins with the name of its GPU, and a name holds no zero.
        note(string.sub(booking, 1, string.find(booking, '\0', 1, true) - 1))
        bookings[#bookings + 1] = booking
    end
end
for index = 5 + named, #ARGV do
    note(ARGV[index])
end

local timelines = {}
for _, gpu in ipairs(gpus) do
    local prefix = gpu .. '\0'
    local members = redis.call('ZREVRANGEBYLEX', KEYS[3], '(' .. prefix .. after, '[' .. prefix, 'LIMIT', 0, 1)
    -- No name holds a byte that small, so this is past all that is the GPU's, and before the next GPU's.
    local later = redis.call('ZRANGEBYLEX', KEYS[3], '[' .. prefix .. after, '(' .. gpu .. '\1', 'LIMIT', 0, limit)
    for _, member in ipairs(later) do
        members[#members + 1] = member
    end
    local standing = {}
    for index, member in ipairs(members) do
        standing[index] = redis.call('HGET', KEYS[2], string.sub(member, #prefix + 9))
    end
    timelines[#timelines + 1] = {gpu, redis.call('HGET', KEYS[1], gpu), #later, standing}
end

local time = redis.call('TIME')
local answer = answer_field ~= '' and redis.call('HGET', KEYS[4], answer_field)
return {time[1], time[2], answer, bookings, timelines}
