-- One step. Returns where to continue, which is empty at the end, the last member that
-- existed at the first step, and the digests of the revoked records.
local kind, user, now, call, after, last, step = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local set, revoking, except, list = user_key(kind, user), revoking_key(kind, user), {}, '\0'
for i = 9, #ARGV do
	except[ARGV[i]] = true
	list = list .. ARGV[i] .. '\0'
end

if last == '' then last = redis.call('ZREVRANGE', set, 0, 0)[1] end
if not last then return {'done', '', ''} end
local members = redis.call('ZRANGEBYLEX', set, after == '' and '-' or '(' .. after, '[' .. last, 'LIMIT', 0, step)
local digests, result = {}, {'done', '', last}
for i, member in ipairs(members) do digests[i] = member:sub(-32) end
for i, record in ipairs(get_all(digests)) do
	local id = members[i]:sub(1, -34)
	if not is_of(record, kind, user, id) then
		unlist(kind, user, members[i])
	elseif not except[id] then
		revoke(kind, user, members[i], now)
		result[#result + 1] = digests[i]
	end
end

if #members == step and members[step] ~= last then
	result[2] = members[step]
	write('HSET', revoking, call, text(last) .. list)
	write('PEXPIRE', revoking, 60000)
elseif after ~= '' then
	remove('HDEL', revoking, call)
end
local messages = {}
if #result > 3 then messages[1] = changed(kind, user, {unpack(result, 4)}) end
return commit(messages) or result
