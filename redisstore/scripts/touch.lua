-- Takes five arguments for each use.
for i = 2, #ARGV, 5 do
	local kind, user, id, digest, at = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
	local record = redis.call('GET', record_key(digest))
	if is_live(record) and record:sub(2, 2) == kind and tonumber(last_used(record)) < tonumber(at) then
		local record_user, record_id = owner(record)
		if record_user == user and record_id == id then redis.call('SETRANGE', record_key(digest), 43, at) end
	end
end
return {'done'}
