-- What the scripts share. KEYS are the two indexes over all accounts, ARGV begins
-- with the prefix. The layout of a record is in record.go.
--
-- <prefix>c:<digest>          a record, or what is left of a revoked one
-- <prefix>a:<kind>:<user ID>  the account's records that are not revoked: a sorted
--                             set of "<ID> NUL <digest>", in the order of IDs
-- <prefix>expiring            digests of records by their expiry
-- <prefix>revoked             digests of what is left by when it was revoked
--
-- Redis removes a record some time after it has expired. The indexes then still
-- name it, until a script comes across that.
local expiring, revoked, prefix = KEYS[1], KEYS[2], ARGV[1]
local never = '99999999999999999999'

local function record_key(digest) return prefix .. 'c:' .. digest end
local function account_key(kind, user) return prefix .. 'a:' .. kind .. ':' .. user end

local function is_live(record) return record and record:sub(1, 1) == '1' end
local function is_superseded(record) return record:sub(3, 3) == '1' end
local function expires(record) return record:sub(24, 43) end
local function last_used(record) return record:sub(44, 63) end

-- owner returns the record's user ID, ID, and the ID that it replaced.
local function owner(record)
	local texts, at = {}, 96
	for i = 1, 3 do
		local length = tonumber(record:sub(at, at + 4))
		texts[i] = record:sub(at + 5, at + 4 + length)
		at = at + 5 + length
	end
	return texts[1], texts[2], texts[3]
end

-- find returns the record with that ID, its digest, and its name in the account.
local function find(account, id)
	local member = redis.call('ZRANGEBYLEX', account, '[' .. id .. '\0', '(' .. id .. '\1', 'LIMIT', 0, 1)[1]
	if not member then return nil end
	local digest = member:sub(#id + 2)
	local record = redis.call('GET', record_key(digest))
	if is_live(record) then return record, digest, member end
end

-- each calls f with every record of an account, and forgets those that have gone.
local function each(account, f)
	local members = redis.call('ZRANGE', account, 0, -1)
	for from = 1, #members, 500 do
		local keys = {}
		for i = from, math.min(from + 499, #members) do keys[#keys + 1] = record_key(members[i]:sub(-32)) end
		for i, record in ipairs(redis.call('MGET', unpack(keys))) do
			local member = members[from + i - 1]
			if is_live(record) then
				f(record, member)
			else
				redis.call('ZREM', account, member)
			end
		end
	end
end

-- revoke leaves the digest of a token or a secret behind: nothing may bring it back.
-- Nobody can import a session.
local function revoke(account, kind, digest, member, now)
	if kind == '2' then
		redis.call('DEL', record_key(digest))
	else
		redis.call('SET', record_key(digest), '0' .. kind .. now)
		redis.call('ZADD', revoked, now, digest)
	end
	redis.call('ZREM', expiring, digest)
	redis.call('ZREM', account, member)
end

-- insert keeps a record; Redis removes it at drop, in milliseconds, or never if
-- that is empty.
local function insert(account, record, digest, id, drop)
	local key, is_new = record_key(digest), redis.call('EXISTS', account) == 0
	if drop == '' then
		redis.call('SET', key, record)
	else
		redis.call('SET', key, record, 'PXAT', drop)
		redis.call('ZADD', expiring, expires(record), digest)
	end
	redis.call('ZADD', account, 0, id .. '\0' .. digest)
	if drop == '' then
		redis.call('PERSIST', account)
	elseif is_new then
		redis.call('PEXPIREAT', account, drop)
	else
		redis.call('PEXPIREAT', account, drop, 'GT')
	end
end

-- sweep forgets a few of those that Redis has removed: as many as come, and more.
local function sweep(account, retention)
	for _, member in ipairs(redis.call('ZRANDMEMBER', account, 3)) do
		if redis.call('EXISTS', record_key(member:sub(-32))) == 0 then redis.call('ZREM', account, member) end
	end
	local time = redis.call('TIME')
	local removed = string.format('%d', time[1] - retention)  .. '000000'
	for _, digest in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. removed, 'LIMIT', 0, 3)) do
		if redis.call('EXISTS', record_key(digest)) == 0 then redis.call('ZREM', expiring, digest) end
	end
end
