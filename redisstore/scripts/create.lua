-- Returns the digests of the expired secret that was replaced, and of its previous one.
local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now, drop, limit, retention, step = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11])
local limited = limited_key(kind, user)

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
sweep(kind, user, retention)
return commit(messages) or result
