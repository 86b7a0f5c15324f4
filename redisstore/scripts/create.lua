local kind, user, id, digest, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local created, drop, limit, retention = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local account = account_key(kind, user)

if redis.call('EXISTS', record_key(digest)) == 1 or find(account, id) then return {'conflict'} end
if kind == '3' then
	local current = false
	each(account, function(other) current = current or not is_superseded(other) end)
	if current then return {'conflict'} end
end
if limit > 0 and redis.call('ZCARD', account) >= limit then
	local live = 0
	each(account, function(other)
		if not is_superseded(other) and tonumber(expires(other)) > tonumber(created) then live = live + 1 end
	end)
	if live >= limit then return {'limit'} end
end
insert(account, record, digest, id, drop)
sweep(account, retention)
return {'done'}
