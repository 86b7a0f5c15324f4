local kind, user, after, most = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local account, records = account_key(kind, user), {}
local from = after == '' and '+' or '(' .. after .. '\0'
repeat
	local missing = most - #records
	local members = redis.call('ZREVRANGEBYLEX', account, from, '-', 'LIMIT', 0, missing)
	for _, member in ipairs(members) do
		local record = redis.call('GET', record_key(member:sub(-32)))
		if is_live(record) then records[#records + 1] = record end
		from = '(' .. member
	end
until #records == most or #members < missing
return records
