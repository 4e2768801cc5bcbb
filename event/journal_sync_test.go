package event

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A file whose name the disk does not have is gone with the machine, whatever was
// written to it: each name that is new is followed by a sync of its folder.
func TestSyncedJournalSyncsTheFoldersOfNewNames(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a", "events")
	known := map[string][]string{} // what a folder had when it was synced
	names := func(dir string) (list []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	sync := func(dir string) error { known[dir] = names(dir); return nil }
	check := func(what string) {
		t.Helper()
		for _, d := range []string{base, filepath.Dir(dir), dir} {
			if has := names(d); !slices.Equal(known[d], has) {
				t.Errorf("%s: %s was synced with %q and has %q", what, d, known[d], has)
			}
		}
	}
	m := newMemory(Retention{})
	j, err := openJournal(dir, sync, m)
	if err != nil {
		t.Fatal(err)
	}
	m.j = j
	check("open")
	if err := m.Schedule(t.Context(), []Scheduled{{ID: "1", Due: time.Now().Add(time.Hour), Record: &Record{ID: "1", Type: "t"}}}); err != nil {
		t.Fatal(err)
	}
	check("schedule")
	if _, err := m.Append(t.Context(), []*Record{{ID: "1", Type: "t"}}); err != nil {
		t.Fatal(err)
	}
	check("append")
	if _, err := m.Join(t.Context(), GroupConfig{Name: "g", Consumer: "c"}); err != nil {
		t.Fatal(err)
	}
	check("a group")
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	check("close")
}

// A folder that could not be synced is synced before anything is taken that is in it.
func TestSyncedJournalTakesNothingBeforeItsFolderIsSynced(t *testing.T) {
	var fails atomic.Bool
	m := newMemory(Retention{})
	dir := t.TempDir()
	sync := func(string) error {
		if fails.Load() {
			return errors.New("the disk is full")
		}
		return nil
	}
	fails.Store(true)
	if _, err := openJournal(dir, sync, newMemory(Retention{})); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a folder that can't be synced: %v, want ErrUnavailable", err)
	}
	fails.Store(false)
	j, err := openJournal(dir, sync, m)
	if err != nil {
		t.Fatal(err)
	}
	m.j = j
	add := func() error {
		_, err := m.Append(t.Context(), []*Record{{ID: "1", Type: "t"}})
		return err
	}
	plan := func() error {
		return m.Schedule(t.Context(), []Scheduled{{ID: "1", Due: time.Now().Add(time.Hour), Record: &Record{ID: "1", Type: "t"}}})
	}
	j.plan.lines = rewriteAfter + 1 // the file is replaced by a new one
	fails.Store(true)
	for i := range 2 {
		if err := plan(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("plan %d in a new file, whose folder can't be synced: %v, want ErrUnavailable", i, err)
		}
		if err := add(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("append %d into a new file, whose folder can't be synced: %v, want ErrUnavailable", i, err)
		}
	}
	fails.Store(false)
	if err := plan(); err != nil {
		t.Errorf("a plan in one whose folder can: %v", err)
	}
	for i := range 2 {
		if err := add(); err != nil {
			t.Errorf("append %d into one whose folder can: %v", i, err)
		}
	}
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderThatIsGoneCannotBeSynced(t *testing.T) {
	dir := t.TempDir()
	if err := syncDir(dir); err != nil {
		t.Error(err)
	}
	if err := syncDir(filepath.Join(dir, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that it does not exist", err)
	}
}
