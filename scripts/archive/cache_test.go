//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// moduleCache returns a module cache that has none of our modules, whose archives change with the
// tree, and shares all others with the usual cache: to unpack these again takes half a minute of
// processor time.
func moduleCache(t *testing.T, usual string) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{".", "cache", "cache/download"} {
		share(t, filepath.Join(usual, sub), filepath.Join(dir, sub), root)
	}
	return dir
}

// share links what is in one folder into another, but for what leads to the path without.
func share(t *testing.T, from, to, without string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, deeper := strings.Cut(without, "/")
	for _, e := range entries {
		from, to := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case deeper && e.Name() == first:
			share(t, from, to, rest)
		case !deeper && (e.Name() == first || strings.HasPrefix(e.Name(), first+"@")):
		case e.Name() == "cache" || e.Name() == "download": // folders of their own
		default:
			if err := os.Symlink(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
}
