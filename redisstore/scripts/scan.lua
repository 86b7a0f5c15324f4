-- Returns the expiry and the digest of the last entry examined, which are empty at the
-- end, and then records. Entries are in the order of expiry and digest, so a record that
-- does not change keeps its place.
local from, to, last, last_digest, step = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])

-- first_after returns the rank of the first entry after (last, last_digest).
local function first_after()
	local low, high = redis.call('ZCOUNT', by_expiry, '-inf', '(' .. last), redis.call('ZCOUNT', by_expiry, '-inf', last)
	while low < high do
		local middle = math.floor((low + high) / 2)
		if is_less(last_digest, redis.call('ZRANGE', by_expiry, middle, middle)[1]) then high = middle else low = middle + 1 end
	end
	return low
end

local first = last == '' and redis.call('ZCOUNT', by_expiry, '-inf', '(' .. from) or first_after()
local stop = math.min(redis.call('ZCOUNT', by_expiry, '-inf', to), first + step)
if first >= stop then return {'', ''} end
local entries, digests = redis.call('ZRANGE', by_expiry, first, stop - 1, 'WITHSCORES'), {}
for i = 1, #entries, 2 do digests[#digests + 1] = entries[i] end
local result = {entries[#entries], entries[#entries - 1]}
if stop < first + step then result = {'', ''} end
for _, record in ipairs(get_all(digests)) do
	if is_live(record) then result[#result + 1] = record end
end
return result
