local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local created, drop, old_id, old_until, old_drop, now = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local account = account_key(kind, user)

local old, old_digest, old_member = find(account, old_id)
if not old or tonumber(expires(old)) <= tonumber(created) then return {'not found'} end
if is_superseded(old) or redis.call('EXISTS', record_key(digest)) == 1 or find(account, id) then return {'conflict'} end

local ended = {}
local _, _, previous_id = owner(old)
if previous_id ~= '' then
	local previous, previous_digest, member = find(account, previous_id)
	if previous then
		revoke(account, kind, previous_digest, member, now)
		ended[1] = previous_digest
	end
end
if old_until == '' then
	revoke(account, kind, old_digest, old_member, now)
	ended[#ended + 1] = old_digest
else
	if tonumber(expires(old)) < tonumber(old_until) then
		old_until = expires(old)
		old_drop = redis.call('PEXPIRETIME', record_key(old_digest))
	end
	old = '1' .. kind .. '1' .. old:sub(4, 23) .. old_until .. old:sub(44)
	redis.call('SET', record_key(old_digest), old, 'PXAT', old_drop)
	redis.call('ZADD', expiring, old_until, old_digest)
end
insert(account, record, digest, id, drop)
return {'done', old_digest, unpack(ended)}
