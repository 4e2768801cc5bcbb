package event

import (
	"context"
	"os"
	"path/filepath"
	"slices"
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
