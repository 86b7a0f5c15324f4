package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
)

// redisState keeps hashes: the accounts by ID, the IDs by name, and each account's
// notes by ID.
type redisState struct {
	client rueidis.Client
	prefix string
}

var _ state = (*redisState)(nil)

// redisAccount is an account as Redis keeps it.
type redisAccount struct{ ID, Name, Hash string }

func (s *redisState) accountByID(ctx context.Context, id string) (*account, error) {
	var kept redisAccount
	err := s.do(ctx, "HGET", s.prefix+"accounts", id).DecodeJSON(&kept)
	if rueidis.IsRedisNil(err) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	hash, err := parsePasswordHash(kept.Hash)
	return &account{kept.ID, kept.Name, hash}, err
}

func (s *redisState) accountByName(ctx context.Context, name string) (*account, error) {
	id, err := s.do(ctx, "HGET", s.prefix+"names", name).ToString()
	if rueidis.IsRedisNil(err) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return s.accountByID(ctx, id)
}

func (s *redisState) addAccount(ctx context.Context, a *account) error {
	kept, err := json.Marshal(redisAccount{a.ID, a.Name, a.hash.String()})
	if err != nil {
		return err
	}
	if err := s.do(ctx, "HSET", s.prefix+"accounts", a.ID, string(kept)).Error(); err != nil {
		return err
	}
	return s.do(ctx, "HSET", s.prefix+"names", a.Name, a.ID).Error()
}

// redisNote is a note as Redis keeps it, under its ID.
type redisNote struct {
	Text      string
	CreatedAt time.Time
}

func (s *redisState) notesOf(ctx context.Context, accountID string) ([]note, error) {
	all, err := s.do(ctx, "HGETALL", s.prefix+"notes:"+accountID).AsStrMap()
	if err != nil {
		return nil, err
	}
	var list []note
	for id, text := range all {
		var kept redisNote
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return nil, err
		}
		list = append(list, note{id, kept.Text, kept.CreatedAt})
	}
	sortNotes(list)
	return list, nil
}

// addNoteScript counts and adds in one step. An account that is gone has no room.
var addNoteScript = rueidis.NewLuaScript(`
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then return 0 end
return redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])`)

func (s *redisState) addNote(ctx context.Context, accountID string, n note) error {
	kept, err := json.Marshal(redisNote{n.Text, n.CreatedAt})
	if err != nil {
		return err
	}
	keys := []string{s.prefix + "notes:" + accountID, s.prefix + "accounts"}
	args := []string{strconv.Itoa(maxNotes), accountID, n.ID, string(kept)}
	added, err := addNoteScript.Exec(ctx, s.client, keys, args).AsBool()
	if err == nil && !added {
		return auth.ErrLimit
	}
	return err
}

func (s *redisState) removeNote(ctx context.Context, accountID, id string) error {
	removed, err := s.do(ctx, "HDEL", s.prefix+"notes:"+accountID, id).AsBool()
	if err == nil && !removed {
		return auth.ErrNotFound
	}
	return err
}

func (s *redisState) mark(ctx context.Context) (string, error) {
	mark, err := s.do(ctx, "GET", s.prefix+"mark").ToString()
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
	return swapMarkScript.Exec(ctx, s.client, []string{s.prefix + "mark"}, []string{old, next}).AsBool()
}

var clearScript = rueidis.NewLuaScript(`
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('DEL', ARGV[1] .. id) end
return redis.call('DEL', KEYS[1], KEYS[2])`)

func (s *redisState) clear(ctx context.Context) error {
	keys := []string{s.prefix + "accounts", s.prefix + "names"}
	return clearScript.Exec(ctx, s.client, keys, []string{s.prefix + "notes:"}).Error()
}

func (s *redisState) do(ctx context.Context, command string, args ...string) rueidis.RedisResult {
	return s.client.Do(ctx, s.client.B().Arbitrary(command).Args(args...).Build())
}
