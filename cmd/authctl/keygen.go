package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"os"
)

type keygenCmd struct {
	Out string `placeholder:"FILE" help:"Write to a new file that only its owner can read."`
}

func (keygenCmd) Help() string {
	return `The key is 32 random bytes in base64, the form of AUTH_KEYS in examples/server. To rotate, put a new one in front of the old one, separated by a comma.

Example:

    authctl keygen --out service.keys`
}

func (c *keygenCmd) Run(a *app) error {
	key := make([]byte, 32)
	rand.Read(key) // never fails: see crypto/rand
	text := base64.StdEncoding.EncodeToString(key)
	if c.Out == "" {
		if a.out.json {
			return a.out.document(map[string]string{"key": text})
		}
		return a.out.line("%s", text)
	}
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text+"\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if a.out.json {
		return a.out.document(map[string]string{"file": c.Out})
	}
	a.note("written: %s", c.Out)
	return nil
}
