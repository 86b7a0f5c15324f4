-- One step. Returns whether there may be more, the number of records removed, and the
-- digests of the removed records that had not been revoked.
local before, now, step = ARGV[2], ARGV[3], tonumber(ARGV[4])
local tombstones = redis.call('ZRANGEBYSCORE', revoked, '-inf', '(' .. before, 'LIMIT', 0, step)
local expired = redis.call('ZRANGEBYSCORE', by_expiry, '-inf', '(' .. before, 'LIMIT', 0, step)
local removed, result, messages = 0, {'done', '', ''}, {}
if #tombstones == step or #expired == step then result[2] = 'more' end

local function number(digits) return digits:match('^%d+$') and tonumber(digits) end

-- revoked_owner returns the user ID and the ID in a tombstone.
local function revoked_owner(record)
	local user, at = text_at(record, 23)
	return user, (text_at(record, at))
end

-- The records say when they expired or were revoked. The indexes can be wrong about it, and
-- are corrected then, so that the next step does not find the same entries. A corrupt record
-- is not found again either. It stays, so its digest cannot be used again.
for i, record in ipairs(get_all(tombstones)) do
	local at = is_tombstone(record) and number(record:sub(3, 22))
	if at and at >= tonumber(before) then
		add('ZADD', revoked, record:sub(3, 22), tombstones[i])
	else
		remove('ZREM', revoked, tombstones[i])
		local is_whole, user, id = pcall(revoked_owner, record)
		if at and is_whole then
			remove('HDEL', revoked_key(record:sub(2, 2), user), id)
			delete(tombstones[i])
			removed = removed + 1
		end
	end
end
for i, record in ipairs(get_all(expired)) do
	local at = is_live(record) and number(expires(record))
	if at and at >= tonumber(before) then
		add('ZADD', by_expiry, score(expires(record)), expired[i])
	else
		remove('ZREM', by_expiry, expired[i])
		local is_whole, user, id = pcall(owner, record)
		if at and is_whole then
			local kind = record:sub(2, 2)
			removed = removed + 1
			unlist(kind, user, id .. '\0' .. expired[i])
			delete(expired[i])
			result[#result + 1] = expired[i]
			if not is_expired(record, now) then messages[#messages + 1] = changed(kind, user, {expired[i]}) end
		end
	end
end
result[3] = tostring(removed)
return commit(messages) or result
