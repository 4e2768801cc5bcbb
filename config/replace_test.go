package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

var errDisk = errors.New("disk full")

// brittle is a file whose n-th call fails. It counts the calls, and those of
// Sync that followed all writes.
type brittle struct {
	*os.File
	fails  int
	calls  int
	synced bool
}

func (b *brittle) step() error {
	b.calls++
	if b.calls == b.fails {
		return errDisk
	}
	return nil
}

func (b *brittle) Write(p []byte) (int, error) {
	b.synced = false
	if err := b.step(); err != nil {
		return 0, err
	}
	return b.File.Write(p)
}

func (b *brittle) Sync() error { b.synced = true; return b.step() }

func (b *brittle) Close() error { return errors.Join(b.File.Close(), b.step()) }

func TestReplacedFileIsTheOldOrTheNewOneWhateverFails(t *testing.T) {
	for fails := range 4 { // 0: nothing; else write, sync or close
		dir := t.TempDir()
		name := filepath.Join(dir, "good.json")
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		var f *brittle
		err := replaceWith(name, []byte("new"), func(dir, pattern string) (tempFile, error) {
			file, err := os.CreateTemp(dir, pattern)
			f = &brittle{File: file, fails: fails}
			return f, err
		})
		want := "old"
		if fails == 0 {
			want = "new"
		}
		got, _ := os.ReadFile(name)
		if string(got) != want || (fails > 0) != errors.Is(err, errDisk) {
			t.Errorf("call %d fails: got %q and %v, want %q", fails, got, err, want)
		}
		if fails == 0 && (!f.synced || f.calls != 3) {
			t.Errorf("renamed after %d calls, synced = %v, want write, sync and close", f.calls, f.synced)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("call %d fails: %d files are left, want 1", fails, len(left))
		}
	}
}
