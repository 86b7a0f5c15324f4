-- Returns the digests of the expired secret that was replaced, and of its previous one.
local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now, drop, limit, dropped, step = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11])
local listed, limited = user_key(kind, user), limited_key(kind, user)

-- outdated returns the members or digests whose records Redis has removed.
local function outdated(members)
	local keys, missing = {}, {}
	for i, member in ipairs(members) do keys[i] = record_key(member:sub(-32)) end
	if #keys == 0 or redis.call('EXISTS', unpack(keys)) == #keys then return missing end
	for i, key in ipairs(keys) do
		if redis.call('EXISTS', key) == 0 then missing[#missing + 1] = members[i] end
	end
	return missing
end

-- sweep plans to remove outdated index entries, from a sample of the user's and the oldest
-- of all. One insert in four sweeps, and can remove more entries than four add, so they do
-- not accumulate.
local function sweep()
	for _, member in ipairs(outdated(redis.call('ZRANDMEMBER', listed, 12))) do unlist(kind, user, member) end
	for _, digest in ipairs(outdated(redis.call('ZRANGEBYSCORE', by_expiry, '-inf', '(' .. dropped, 'LIMIT', 0, 12))) do
		remove('ZREM', by_expiry, digest)
	end
end

if is_taken(kind, user, id, digest) then return {'conflict'} end

local live, expired, expired_digest = 0, nil, nil
if kind == '3' then
	local digests = redis.call('ZRANGE', limited, 0, step - 1)
	for i, other in ipairs(get_all(digests)) do
		if not is_of(other, kind, user) then
			remove('ZREM', limited, digests[i])
		elseif is_expired(other, now) then
			expired, expired_digest = other, digests[i]
		else
			return {'conflict'}
		end
	end
elseif limit > 0 then
	live = redis.call('ZCOUNT', limited, '(' .. now, '+inf')
	if live >= limit then -- unless Redis has lost some of them
		local digests = redis.call('ZRANGEBYSCORE', limited, '(' .. now, '+inf', 'LIMIT', 0, step)
		for i, other in ipairs(get_all(digests)) do
			if not is_of(other, kind, user) then
				live = live - 1
				remove('ZREM', limited, digests[i])
			end
		end
	end
	if live >= limit then return {'limit'} end
end

local result, messages = {'done'}, {}
if expired then
	local _, expired_id = owner(expired)
	local _, previous_digest, previous_member = find_previous(kind, user, expired)
	revoke(kind, user, expired_id .. '\0' .. expired_digest, now)
	result[2] = expired_digest
	if previous_member then
		revoke(kind, user, previous_member, now)
		result[3] = previous_digest
	end
	messages[1] = changed(kind, user, {result[2], result[3]})
end
insert(kind, user, record, digest, id, drop)
if digest:byte() % 4 == 0 then sweep() end
return commit(messages) or result
