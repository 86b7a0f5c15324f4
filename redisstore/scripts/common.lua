-- Shared by all scripts. KEYS are the two indexes over all users; ARGV starts with
-- the prefix. record.go describes the layout of a record.
--
-- <prefix>c:<digest>          a record, or the tombstone of a revoked one
-- <prefix>u:<kind>:<user ID>  the user's records that are not revoked: a sorted set
--                             of "<ID> NUL <digest>", in the order of IDs
-- <prefix>l:<kind>:<user ID>  those that count against limits, which superseded ones do
--                             not: their digests by expiry
-- <prefix>r:<kind>:<user ID>  the IDs of the user's revoked tokens or secrets: a hash
--                             without values, which is the smallest form of a set
-- <prefix>expiry              digests of all records that are not revoked, by expiry
-- <prefix>revoked             digests of revoked tokens and secrets, by time of revocation
-- <prefix>changes             the channel on which scripts publish what they changed
--
-- Redis removes a record some time after it has expired. The indexes still name it
-- then, until a script finds the entry outdated. The tombstones stay until Purge.
--
-- A script visits a bounded number of records, because Redis serves no other request
-- meanwhile.
local by_expiry, revoked, prefix = KEYS[1], KEYS[2], ARGV[1]

-- While a slot of a cluster moves, its keys are on two nodes, and to a command with one key,
-- a key on the other node looks absent. A command with two keys that do not exist fails on
-- both nodes (getNodeByQuery in cluster.c of Redis 7.0), before the script has read or
-- written anything.
redis.call('EXISTS', prefix .. 'absent', prefix .. 'none')
local never = ('9'):rep(20)

local function record_key(digest) return prefix .. 'c:' .. digest end
local function user_key(kind, user) return prefix .. 'u:' .. kind .. ':' .. user end
local function limited_key(kind, user) return prefix .. 'l:' .. kind .. ':' .. user end
local function revoked_key(kind, user) return prefix .. 'r:' .. kind .. ':' .. user end

local function is_live(record) return record and record:sub(1, 1) == '1' end
local function is_tombstone(record) return record and record:sub(1, 1) == '0' end
local function is_superseded(record) return record:sub(3, 3) == '1' end
local function expires(record) return record:sub(25, 44) end
local function is_expired(record, now) return tonumber(expires(record)) <= tonumber(now) end
local function score(expiry) return expiry == never and '+inf' or expiry end

-- text_at returns the text at that position of a record, and the position of the next.
local function text_at(record, at)
	local length = tonumber(record:sub(at, at + 4))
	return record:sub(at + 5, at + 4 + length), at + 5 + length
end

-- owner returns the record's user ID, its ID, and the ID of the record that it
-- replaced.
local function owner(record)
	local user, id, previous, at
	user, at = text_at(record, 131)
	id, at = text_at(record, at)
	previous = text_at(record, at)
	return user, id, previous
end

-- settings_at is the position of what Update changes, which is the end of the record.
local function settings_at(record)
	local at = 131
	for _ = 1, 6 do
		local _, next_at = text_at(record, at)
		at = next_at
	end
	return at
end

-- is_less compares as Redis does. The operator < depends on the server's locale.
local function is_less(a, b)
	for i = 1, math.min(#a, #b) do
		local x, y = a:byte(i), b:byte(i)
		if x ~= y then return x < y end
	end
	return #a < #b
end

-- text is what text_at reads.
local function text(value) return string.format('%05d', #value) .. value end

-- is_of reports whether a record is a live one of that user and kind, and has that ID
-- unless id is nil. An index can name a digest that another user has had since Redis
-- removed the record.
local function is_of(record, kind, user, id)
	if not is_live(record) or record:sub(2, 2) ~= kind then return false end
	local names = id and text(user) .. text(id) or text(user)
	return record:sub(131, 130 + #names) == names
end

-- members_of returns the members of the user's index that have that ID. All except one are
-- outdated, and insert removes those.
local function members_of(kind, user, id)
	return redis.call('ZRANGEBYLEX', user_key(kind, user), '[' .. id .. '\0', '(' .. id .. '\1', 'LIMIT', 0, 3)
end

-- find returns the user's record with that ID, its digest, and its member of the index.
local function find(kind, user, id)
	for _, member in ipairs(members_of(kind, user, id)) do
		local digest = member:sub(-32)
		local record = redis.call('GET', record_key(digest))
		if is_of(record, kind, user, id) then return record, digest, member end
	end
end

-- find_previous returns what find does, for the record that this one replaced.
local function find_previous(kind, user, record)
	local _, _, id = owner(record)
	if id ~= '' then return find(kind, user, id) end
end

-- get_all returns the records of the digests.
local function get_all(digests)
	if #digests == 0 then return {} end
	local keys = {}
	for i, digest in ipairs(digests) do keys[i] = record_key(digest) end
	return redis.call('MGET', unpack(keys))
end
