local kind, user, id, now = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local account = account_key(kind, user)

local record, digest, member = find(account, id)
if not record then return {'not found'} end
local _, _, previous_id = owner(record)
revoke(account, kind, digest, member, now)
if previous_id == '' then return {'done', digest} end
local previous, previous_digest, previous_member = find(account, previous_id)
if not previous then return {'done', digest} end
revoke(account, kind, previous_digest, previous_member, now)
return {'done', digest, previous_digest}
