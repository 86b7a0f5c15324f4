-- Returns the digests of the expired secret that was replaced, and of its previous one.
local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now, drop, limit, retention = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local set = user_key(kind, user)

-- All reads come before the first write.
if is_taken(set, kind, user, id, digest) then return {'conflict'} end
local live, missing, expired, expired_member = 0, {}, nil, nil
if kind == '3' or limit > 0 and redis.call('ZCARD', set) >= limit then
	missing = each(set, function(other, member)
		if is_superseded(other) then return end
		if is_expired(other, now) then
			expired, expired_member = other, member
		else
			live = live + 1
		end
	end)
end
if kind == '3' and live > 0 then return {'conflict'} end
if limit > 0 and live >= limit then return {'limit'} end
local previous, previous_digest, previous_member
if kind == '3' and expired then previous, previous_digest, previous_member = find_previous(set, expired) end

local result = {'done'}
if kind == '3' and expired then
	result[2] = expired_member:sub(-32)
	revoke(set, kind, user, expired_member, now)
end
if previous then
	result[3] = previous_digest
	revoke(set, kind, user, previous_member, now)
end
forget(set, missing)
insert(set, record, digest, id, drop)
sweep(set, retention)
return result
