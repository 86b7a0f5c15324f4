-- One step. Returns the number of records that are left if there may be more, and the
-- digests of the revoked records.
-- Each step begins at the first of the records that are left. The last one has found, and
-- revoked, all of them at once: so none escapes by being rotated between two steps.
local kind, user, now, step, except = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), {}
for i = 6, #ARGV do except[ARGV[i]] = true end

local most = step + #ARGV - 5
local members = redis.call('ZRANGE', user_key(kind, user), 0, most - 1)
local visited, digests, result = {}, {}, {'done', ''}
for _, member in ipairs(members) do
	if not except[member:sub(1, -34)] and #visited < step then
		visited[#visited + 1], digests[#digests + 1] = member, member:sub(-32)
	end
end
if #members == most or #visited == step then
	result[2] = tostring(redis.call('ZCOUNT', user_key(kind, user), 0, 0) - #visited)
end
for i, record in ipairs(get_all(digests)) do
	if is_of(record, kind, user, visited[i]:sub(1, -34)) then
		revoke(kind, user, visited[i], now)
		result[#result + 1] = digests[i]
	elseif is_of(record, kind, user) then -- with another ID, which the other index counts
		remove('ZREM', user_key(kind, user), visited[i])
	else
		unlist(kind, user, visited[i])
	end
end
local messages = {}
if #result > 2 then messages[1] = changed(kind, user, {unpack(result, 3)}) end
return commit(messages) or result
