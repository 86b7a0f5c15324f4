-- Returns where to continue, which is empty at the end, and then records.
local kind, user, after, limit, step = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local members = redis.call('ZREVRANGEBYLEX', user_key(kind, user), after == '' and '+' or '(' .. after, '-', 'LIMIT', 0, step)
local digests, result = {}, {''}
for i, member in ipairs(members) do digests[i] = member:sub(-32) end
for i, record in ipairs(get_all(digests)) do
	if is_of(record, kind, user, members[i]:sub(1, -34)) then result[#result + 1] = record end
	if #result > limit or i == step then
		result[1] = members[i]
		break
	end
end
return result
