-- Returns the digests of the revoked record and of its previous one.
local kind, user, id, now = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local set = user_key(kind, user)

local record, digest, member = find(set, id)
if not record then return {'not found'} end
local previous, previous_digest, previous_member = find_previous(set, record)

revoke(set, kind, user, member, now)
if not previous then return {'done', digest} end
revoke(set, kind, user, previous_member, now)
return {'done', digest, previous_digest}
