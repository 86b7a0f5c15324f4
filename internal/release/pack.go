package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// pack writes the archives of modules into a directory that can be a GOPROXY of scheme file: see
// https://go.dev/ref/mod#goproxy-protocol. It drops their replace directives, which the go command
// ignores in dependencies, from go.mod: the directories must be copies.
func pack(to, version string, dirs []string) error {
	for _, dir := range dirs {
		if err := packModule(to, version, dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

func packModule(to, version, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return err
	}
	for _, r := range slices.Clone(mod.Replace) {
		if err := mod.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	if text, err = mod.Format(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), text, 0o644); err != nil {
		return err
	}
	escaped, err := module.EscapePath(mod.Module.Mod.Path)
	if err != nil {
		return err
	}
	versions := filepath.Join(to, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC()})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"list": []byte(version + "\n"), version + ".info": info, version + ".mod": text,
	} {
		if err := os.WriteFile(filepath.Join(versions, name), content, 0o644); err != nil {
			return err
		}
	}
	return writeZip(filepath.Join(versions, version+".zip"), module.Version{Path: mod.Module.Mod.Path, Version: version}, dir)
}

func writeZip(name string, m module.Version, dir string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := zip.CreateFromDir(f, m, dir); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
