-- Returns how many were looked at and how many were removed, and the digests of
-- those that had expired.
local before, most = ARGV[2], ARGV[3]
local looked, removed, gone = 0, 0, {}

for _, digest in ipairs(redis.call('ZRANGEBYSCORE', revoked, '-inf', '(' .. before, 'LIMIT', 0, most)) do
	looked = looked + 1
	removed = removed + redis.call('DEL', record_key(digest))
	redis.call('ZREM', revoked, digest)
end
for _, digest in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. before, 'LIMIT', 0, most)) do
	looked = looked + 1
	local record = redis.call('GET', record_key(digest))
	if is_live(record) then
		local user, id = owner(record)
		redis.call('ZREM', account_key(record:sub(2, 2), user), id .. '\0' .. digest)
		removed = removed + redis.call('DEL', record_key(digest))
		gone[#gone + 1] = digest
	end
	redis.call('ZREM', expiring, digest)
end
return {tostring(looked), tostring(removed), unpack(gone)}
