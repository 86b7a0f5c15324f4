-- Returns the digest of the rotated record, and then those of the revoked ones.
local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now, drop, old_id, settings, old_until, old_drop = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]

local old, old_digest, old_member = find(kind, user, old_id)
if not old or is_expired(old, now) then return {'not found'} end
if is_superseded(old) or old:sub(settings_at(old)) ~= settings then return {'conflict'} end
if is_taken(kind, user, id, digest) then return {'conflict'} end
local _, previous_digest, previous_member = find_previous(kind, user, old)

local result = {'done', old_digest}
if previous_member then
	revoke(kind, user, previous_member, now)
	result[#result + 1] = previous_digest
end
if old_until == '' then
	revoke(kind, user, old_member, now)
	result[#result + 1] = old_digest
else
	local is_earlier = is_expired(old, old_until)
	if is_earlier then old_until = expires(old) end
	local superseded = '1' .. kind .. '1' .. old:sub(4, 24) .. old_until .. old:sub(45)
	if is_earlier then
		set(old_digest, superseded, 'KEEPTTL')
	else
		set(old_digest, superseded, 'PXAT', old_drop)
	end
	add('ZADD', by_expiry, score(old_until), old_digest)
	remove('ZREM', limited_key(kind, user), old_digest)
end
insert(kind, user, record, digest, id, drop)
return commit({changed(kind, user, {unpack(result, 2)})}) or result
