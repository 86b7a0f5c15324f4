local kind, user, after, limit = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local set, records = user_key(kind, user), {}
local from = after == '' and '+' or '(' .. after .. '\0'
repeat
	local missing = limit - #records
	local members = redis.call('ZREVRANGEBYLEX', set, from, '-', 'LIMIT', 0, missing)
	for _, member in ipairs(members) do
		local record = redis.call('GET', record_key(member:sub(-32)))
		if is_live(record) then records[#records + 1] = record end
		from = '(' .. member
	end
until #records == limit or #members < missing
return records
