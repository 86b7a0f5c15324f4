-- One step. Returns whether there may be more, the number of records removed, and the
-- digests of the removed records that had not been revoked.
local before, now, step = ARGV[2], ARGV[3], tonumber(ARGV[4])
local tombstones = redis.call('ZRANGEBYSCORE', revoked, '-inf', '(' .. before, 'LIMIT', 0, step)
local expired = redis.call('ZRANGEBYSCORE', by_expiry, '-inf', '(' .. before, 'LIMIT', 0, step)
local removed, result, messages = 0, {'done', '', ''}, {}
if #tombstones == step or #expired == step then result[2] = 'more' end

-- The records say when they expired or were revoked. The indexes can be wrong about it, and
-- are corrected then, so that the next step does not find the same entries.
for i, record in ipairs(get_all(tombstones)) do
	if is_tombstone(record) and tonumber(record:sub(3, 22)) >= tonumber(before) then
		add('ZADD', revoked, record:sub(3, 22), tombstones[i])
	else
		remove('ZREM', revoked, tombstones[i])
		if is_tombstone(record) then
			local user, at = text_at(record, 23)
			remove('HDEL', revoked_key(record:sub(2, 2), user), (text_at(record, at)))
			delete(tombstones[i])
			removed = removed + 1
		end
	end
end
for i, record in ipairs(get_all(expired)) do
	if not is_live(record) then
		remove('ZREM', by_expiry, expired[i])
	elseif tonumber(expires(record)) >= tonumber(before) then
		add('ZADD', by_expiry, score(expires(record)), expired[i])
	else
		local kind, user, id = record:sub(2, 2), owner(record)
		removed = removed + 1
		remove('ZREM', by_expiry, expired[i])
		unlist(kind, user, id .. '\0' .. expired[i])
		delete(expired[i])
		result[#result + 1] = expired[i]
		if not is_expired(record, now) then messages[#messages + 1] = changed(kind, user, {expired[i]}) end
	end
end
result[3] = tostring(removed)
return commit(messages) or result
