-- Shared by all scripts. KEYS are the two indexes over all users; ARGV starts with
-- the prefix. record.go describes the layout of a record.
--
-- <prefix>c:<digest>          a record, or the remains of a revoked one
-- <prefix>u:<kind>:<user ID>  the user's records that are not revoked: a sorted set
--                             of "<ID> NUL <digest>", in the order of IDs
-- <prefix>r:<kind>:<user ID>  the IDs of the user's revoked tokens or secrets: a hash
--                             without values, which is the smallest form of a set
-- <prefix>expiring            digests of records by expiry
-- <prefix>revoked             revoked tokens and secrets by time of revocation:
--                             "<digest> <kind> <ID> NUL <user ID>", without the spaces
--
-- Redis removes a record some time after it has expired. The indexes still name it
-- then, until a script comes across the entry. The revoked ones stay until Purge, which
-- finds all that it removes in <prefix>revoked.
local expiring, revoked, prefix = KEYS[1], KEYS[2], ARGV[1]

local function record_key(digest) return prefix .. 'c:' .. digest end
local function user_key(kind, user) return prefix .. 'u:' .. kind .. ':' .. user end
local function revoked_key(kind, user) return prefix .. 'r:' .. kind .. ':' .. user end

local function is_live(record) return record and record:sub(1, 1) == '1' end
local function is_superseded(record) return record:sub(3, 3) == '1' end
local function expires(record) return record:sub(24, 43) end
local function last_used(record) return record:sub(44, 63) end
local function is_expired(record, now) return tonumber(expires(record)) <= tonumber(now) end

-- owner returns the record's user ID, its ID, and the ID of the record that it
-- replaced.
local function owner(record)
	local texts, at = {}, 96
	for i = 1, 3 do
		local length = tonumber(record:sub(at, at + 4))
		texts[i] = record:sub(at + 5, at + 4 + length)
		at = at + 5 + length
	end
	return texts[1], texts[2], texts[3]
end

-- find returns the record with that ID, its digest, and its member of the set.
local function find(set, id)
	local member = redis.call('ZRANGEBYLEX', set, '[' .. id .. '\0', '(' .. id .. '\1', 'LIMIT', 0, 1)[1]
	if not member then return nil end
	local digest = member:sub(#id + 2)
	local record = redis.call('GET', record_key(digest))
	if is_live(record) then return record, digest, member end
end

-- is_taken reports whether a record has the digest or the ID, even if it was revoked.
local function is_taken(set, kind, user, id, digest)
	return redis.call('EXISTS', record_key(digest)) == 1 or find(set, id)
		or redis.call('HEXISTS', revoked_key(kind, user), id) == 1
end

-- find_previous returns what find does, for the record that this one replaced.
local function find_previous(set, record)
	local _, _, id = owner(record)
	if id ~= '' then return find(set, id) end
end

-- each calls f with every record of a set, and returns the members whose records no
-- longer exist. It does not write.
local function each(set, f)
	local members, missing = redis.call('ZRANGE', set, 0, -1), {}
	for from = 1, #members, 500 do
		local keys = {}
		for i = from, math.min(from + 499, #members) do keys[#keys + 1] = record_key(members[i]:sub(-32)) end
		for i, record in ipairs(redis.call('MGET', unpack(keys))) do
			local member = members[from + i - 1]
			if is_live(record) then f(record, member) else missing[#missing + 1] = member end
		end
	end
	return missing
end

local function forget(set, members)
	for _, member in ipairs(members) do redis.call('ZREM', set, member) end
end

-- revoke keeps the digest and the ID of a token or a secret, so that it cannot be imported
-- or created again. Sessions cannot be imported at all.
local function revoke(set, kind, user, member, now)
	local id, digest = member:sub(1, -34), member:sub(-32)
	if kind == '2' then
		redis.call('DEL', record_key(digest))
	else
		redis.call('SET', record_key(digest), '0' .. kind .. now)
		redis.call('HSET', revoked_key(kind, user), id, '')
		redis.call('ZADD', revoked, now, digest .. kind .. id .. '\0' .. user)
	end
	redis.call('ZREM', expiring, digest)
	redis.call('ZREM', set, member)
end

-- insert stores a record. Redis removes it at drop, in milliseconds; if drop is
-- empty, never.
local function insert(set, record, digest, id, drop)
	local key, is_new = record_key(digest), redis.call('EXISTS', set) == 0
	if drop == '' then
		redis.call('SET', key, record)
	else
		redis.call('SET', key, record, 'PXAT', drop)
		redis.call('ZADD', expiring, expires(record), digest)
	end
	redis.call('ZADD', set, 0, id .. '\0' .. digest)
	if drop == '' then
		redis.call('PERSIST', set)
	elseif is_new then
		redis.call('PEXPIREAT', set, drop)
	else
		redis.call('PEXPIREAT', set, drop, 'GT')
	end
end

-- sweep removes a few index entries of records that Redis has removed. Each call can
-- remove more entries than an insert adds, so they do not accumulate.
local function sweep(set, retention)
	for _, member in ipairs(redis.call('ZRANDMEMBER', set, 3)) do
		if redis.call('EXISTS', record_key(member:sub(-32))) == 0 then redis.call('ZREM', set, member) end
	end
	local time = redis.call('TIME')
	local removed = string.format('%d', time[1] - retention)  .. '000000'
	for _, digest in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. removed, 'LIMIT', 0, 3)) do
		if redis.call('EXISTS', record_key(digest)) == 0 then redis.call('ZREM', expiring, digest) end
	end
end
