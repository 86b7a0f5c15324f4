-- Returns the number of entries examined, the number of records removed, and the
-- digests of the removed records that had not been revoked.
local before, limit = ARGV[2], ARGV[3]
local revoked_members = redis.call('ZRANGEBYSCORE', revoked, '-inf', '(' .. before, 'LIMIT', 0, limit)
local expired_digests = redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. before, 'LIMIT', 0, limit)
local records = {}
for i, digest in ipairs(expired_digests) do records[i] = redis.call('GET', record_key(digest)) end

local removed, result = 0, {}
for _, member in ipairs(revoked_members) do
	local kind, id, user = member:match('^(.)(%Z*)%z(.*)$', 33)
	removed = removed + redis.call('DEL', record_key(member:sub(1, 32)))
	if user then redis.call('HDEL', revoked_key(kind, user), id) end
	redis.call('ZREM', revoked, member)
end
for i, digest in ipairs(expired_digests) do
	if is_live(records[i]) then
		local user, id = owner(records[i])
		redis.call('ZREM', user_key(records[i]:sub(2, 2), user), id .. '\0' .. digest)
		removed = removed + redis.call('DEL', record_key(digest))
		result[#result + 1] = digest
	end
	redis.call('ZREM', expiring, digest)
end
return {tostring(#revoked_members + #expired_digests), tostring(removed), unpack(result)}
