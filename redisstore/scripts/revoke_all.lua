-- Returns the digests of the revoked records.
local kind, user, now = ARGV[2], ARGV[3], ARGV[4]
local set, except, members, result = user_key(kind, user), {}, {}, {'done'}
for i = 5, #ARGV do except[ARGV[i]] = true end

local missing = each(set, function(_, member)
	if not except[member:sub(1, -34)] then members[#members + 1] = member end
end)

for i, member in ipairs(members) do
	result[i + 1] = member:sub(-32)
	revoke(set, kind, user, member, now)
end
forget(set, missing)
return result
