package demodata

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// redisState keeps Redis hashes: the users by ID, the IDs by name, and each user's
// notes by ID.
type redisState struct {
	client rueidis.Client
	prefix string
}

var _ State = (*redisState)(nil)

// redisUser is the JSON form of a User.
type redisUser struct{ ID, Name, Hash string }

func (s *redisState) UserByID(ctx context.Context, id string) (*User, error) {
	return readUser(s.do(ctx, "HGET", s.prefix+"users", id))
}

var userByNameScript = rueidis.NewLuaScriptReadOnly(`
local id = redis.call('HGET', KEYS[1], ARGV[1])
return id and redis.call('HGET', KEYS[2], id)`)

// UserByName makes one call for every name, so that its time does not reveal which exist.
func (s *redisState) UserByName(ctx context.Context, name string) (*User, error) {
	return readUser(userByNameScript.Exec(ctx, s.client, []string{s.prefix + "names", s.prefix + "users"}, []string{name}))
}

func readUser(result rueidis.RedisResult) (*User, error) {
	var stored redisUser
	err := result.DecodeJSON(&stored)
	if rueidis.IsRedisNil(err) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	hash, err := password.Parse(stored.Hash)
	return &User{stored.ID, stored.Name, hash}, err
}

func (s *redisState) AddUser(ctx context.Context, u *User) error {
	stored, err := json.Marshal(redisUser{u.ID, u.Name, u.Password.String()})
	if err != nil {
		return err
	}
	if err := s.do(ctx, "HSET", s.prefix+"users", u.ID, string(stored)).Error(); err != nil {
		return err
	}
	return s.do(ctx, "HSET", s.prefix+"names", u.Name, u.ID).Error()
}

// setUserScript changes a user, but does not bring a removed one back.
var setUserScript = rueidis.NewLuaScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`)

func (s *redisState) SetPassword(ctx context.Context, userID string, hash password.Hash) error {
	u, err := s.UserByID(ctx, userID)
	if err != nil {
		return err
	}
	stored, err := json.Marshal(redisUser{userID, u.Name, hash.String()})
	if err != nil {
		return err
	}
	changed, err := setUserScript.Exec(ctx, s.client, []string{s.prefix + "users"}, []string{userID, string(stored)}).AsBool()
	if err == nil && !changed {
		return auth.ErrNotFound
	}
	return err
}

// redisNote is the JSON form of a Note, without its ID.
type redisNote struct {
	Text      string
	CreatedAt time.Time
}

func (s *redisState) Notes(ctx context.Context, userID string) ([]Note, error) {
	all, err := s.do(ctx, "HGETALL", s.prefix+"notes:"+userID).AsStrMap()
	if err != nil {
		return nil, err
	}
	var list []Note
	for id, text := range all {
		var stored redisNote
		if err := json.Unmarshal([]byte(text), &stored); err != nil {
			return nil, err
		}
		list = append(list, Note{id, stored.Text, stored.CreatedAt})
	}
	sortNotes(list)
	return list, nil
}

// addNoteScript counts and adds in one step. It adds nothing for a deleted user.
var addNoteScript = rueidis.NewLuaScript(`
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then return 0 end
return redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])`)

func (s *redisState) AddNote(ctx context.Context, userID string, n Note) error {
	stored, err := json.Marshal(redisNote{n.Text, n.CreatedAt})
	if err != nil {
		return err
	}
	keys := []string{s.prefix + "notes:" + userID, s.prefix + "users"}
	args := []string{strconv.Itoa(MaxNotes), userID, n.ID, string(stored)}
	added, err := addNoteScript.Exec(ctx, s.client, keys, args).AsBool()
	if err == nil && !added {
		return auth.ErrLimit
	}
	return err
}

func (s *redisState) RemoveNote(ctx context.Context, userID, id string) error {
	removed, err := s.do(ctx, "HDEL", s.prefix+"notes:"+userID, id).AsBool()
	if err == nil && !removed {
		return auth.ErrNotFound
	}
	return err
}

func (s *redisState) mark(ctx context.Context) (string, error) {
	mark, err := s.do(ctx, "GET", s.prefix+"seed").ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return mark, err
}

var swapMarkScript = rueidis.NewLuaScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`)

func (s *redisState) swapMark(ctx context.Context, old, next string) (bool, error) {
	return swapMarkScript.Exec(ctx, s.client, []string{s.prefix + "seed"}, []string{old, next}).AsBool()
}

var clearScript = rueidis.NewLuaScript(`
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('DEL', ARGV[1] .. id) end
return redis.call('DEL', KEYS[1], KEYS[2])`)

func (s *redisState) clear(ctx context.Context) error {
	keys := []string{s.prefix + "users", s.prefix + "names"}
	return clearScript.Exec(ctx, s.client, keys, []string{s.prefix + "notes:"}).Error()
}

func (s *redisState) do(ctx context.Context, command string, args ...string) rueidis.RedisResult {
	return s.client.Do(ctx, s.client.B().Arbitrary(command).Args(args...).Build())
}
