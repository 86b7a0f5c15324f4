package main

import (
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// users stands for the users of the service.
type users struct {
	cost     int // of bcrypt
	mu       sync.Mutex
	hashes   map[string][]byte // of passwords, by user ID
	disabled map[string]bool
}

func newUsers(cost int) *users {
	return &users{cost: cost, hashes: map[string][]byte{}, disabled: map[string]bool{}}
}

func (u *users) SetPassword(userID, password string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), u.cost)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hashes[userID] = hash
	return nil
}

func (u *users) CheckPassword(userID, password string) error {
	u.mu.Lock()
	hash := u.hashes[userID]
	u.mu.Unlock()
	return bcrypt.CompareHashAndPassword(hash, []byte(password))
}

func (u *users) Disable(userID string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.disabled[userID] = true
	delete(u.hashes, userID)
}

func (u *users) Disabled(userID string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.disabled[userID]
}
