-- Returns the digest of the rotated record, and then those of the revoked ones.
local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now, drop, old_id, old_until, old_drop = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local set = user_key(kind, user)

local old, old_digest, old_member = find(set, old_id)
if not old or is_expired(old, now) then return {'not found'} end
if is_superseded(old) or is_taken(set, kind, user, id, digest) then return {'conflict'} end
local previous, previous_digest, previous_member = find_previous(set, old)
if old_until ~= '' and is_expired(old, old_until) then
	old_until = expires(old)
	old_drop = redis.call('PEXPIRETIME', record_key(old_digest))
end

local result = {'done', old_digest}
if previous then
	revoke(set, kind, user, previous_member, now)
	result[#result + 1] = previous_digest
end
if old_until == '' then
	revoke(set, kind, user, old_member, now)
	result[#result + 1] = old_digest
else
	old = '1' .. kind .. '1' .. old:sub(4, 23) .. old_until .. old:sub(44)
	redis.call('SET', record_key(old_digest), old, 'PXAT', old_drop)
	redis.call('ZADD', expiring, old_until, old_digest)
end
insert(set, record, digest, id, drop)
return result
