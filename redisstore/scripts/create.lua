local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local created, drop, limit, retention = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local set = user_key(kind, user)

-- All reads come before the first write.
if redis.call('EXISTS', record_key(digest)) == 1 or find(set, id) then return {'conflict'} end
local current, live, missing = false, 0, {}
if kind == '3' or limit > 0 and redis.call('ZCARD', set) >= limit then
	missing = each(set, function(other)
		if is_superseded(other) then return end
		current = true
		if not is_expired(other, created) then live = live + 1 end
	end)
end
if kind == '3' and current then return {'conflict'} end
if limit > 0 and live >= limit then return {'limit'} end

forget(set, missing)
insert(set, record, digest, id, drop)
sweep(set, retention)
return {'done'}
