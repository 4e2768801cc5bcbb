package servertest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestPreparedFoldersAreMadeOnce(t *testing.T) {
	t.Setenv("GO_PLATFORM_SERVERS", t.TempDir())
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	made := 0
	get := func(flag string) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "data")
		err := prepared(dir, program, []string{"-D", dir, flag}, func() error {
			made++
			return errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.WriteFile(filepath.Join(dir, "sub", "file"), []byte(flag), 0o600))
		})
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "sub", "file"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		flag string
		made int
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"a", 2}} {
		if got := get(c.flag); got != c.flag || made != c.made {
			t.Errorf("%s: got %q, made %d times, want %d", c.flag, got, made, c.made)
		}
	}
	if err := os.Chtimes(program, time.Time{}, time.Unix(1, 0)); err != nil { // another version is installed
		t.Fatal(err)
	}
	if get("a"); made != 3 {
		t.Errorf("with another program: made %d times, want 3", made)
	}
}

func TestWhatFailsIsNotPrepared(t *testing.T) {
	t.Setenv("GO_PLATFORM_SERVERS", t.TempDir())
	bad := errors.New("no room")
	for range 2 {
		if err := prepared(filepath.Join(t.TempDir(), "data"), os.Args[0], nil, func() error { return bad }); !errors.Is(err, bad) {
			t.Errorf("got %v, want %v", err, bad)
		}
	}
	if err := prepared(filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "none"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a program: got %v", err)
	}
}

func TestFoldersArePreparedSideBySide(t *testing.T) {
	t.Setenv("GO_PLATFORM_SERVERS", t.TempDir())
	var all sync.WaitGroup
	for range 8 {
		dir := filepath.Join(t.TempDir(), "data")
		all.Go(func() {
			err := prepared(dir, os.Args[0], nil, func() error {
				return errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "file"), []byte("whole"), 0o600))
			})
			if b, e := os.ReadFile(filepath.Join(dir, "file")); string(b) != "whole" {
				t.Errorf("got %q, %v, %v", b, e, err)
			}
		})
	}
	all.Wait()
	if left, _ := filepath.Glob(filepath.Join(Cache(), "prepared", "half-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
