package event

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// openFiles are the files below a folder that this process has open, where the system
// tells.
func openFiles(dir string) (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		name, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && strings.HasPrefix(name, dir) {
			list = append(list, filepath.Base(name))
		}
	}
	slices.Sort(list)
	return list
}

// A journal that is closed, or that could not be opened, has no file open; one that is
// open has those that it needs.
func TestAJournalLeavesNoFileOpen(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("this system does not tell which files are open")
	}
	dir := filepath.Join(t.TempDir(), "events")
	m := openMemory(t, dir)
	appendIDs(t, m, "1")
	m.j.size = segmentSize // the next record begins a segment
	appendIDs(t, m, "2")
	m.j.plan.lines = rewriteAfter + 1 // and the next plan a file
	if err := m.Schedule(t.Context(), []Scheduled{{ID: "1", Due: time.Now().Add(time.Hour), Record: &Record{ID: "1", Type: "t"}}}); err != nil {
		t.Fatal(err)
	}
	second := fmt.Sprintf("%020d.log", 2)
	if got, want := openFiles(dir), []string{second, "lock", "schedule.dat"}; !slices.Equal(got, want) {
		t.Errorf("open are %q, want %q", got, want)
	}
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := openFiles(dir); len(got) != 0 {
		t.Errorf("closed, and %q are open", got)
	}
	for name, damage := range map[string]string{second: "", firstSegment: "x", "groups.json": "{", "schedule.dat": frameOf("?")} {
		path := filepath.Join(dir, name)
		was, _ := os.ReadFile(path)
		if damage == "" {
			damage = frameOf(strings.Repeat("\x00", 8) + "\xff\xff\xff")
		}
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openJournal(dir, nil, newMemory(Retention{})); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		if got := openFiles(dir); len(got) != 0 {
			t.Errorf("%s: not opened, and %q are open", name, got)
		}
		err := os.Remove(path)
		if was != nil {
			err = os.WriteFile(path, was, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m = openMemory(t, dir)
	if got := kept(t, m); !slices.Equal(got, []string{"1", "2"}) || len(m.schedule.byID) != 1 {
		t.Errorf("%q and %d plans are there, want all", got, len(m.schedule.byID))
	}
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// A segment is full at its size, and not below; those that retention has emptied go with
// their files.
func TestSegmentsOfAJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	m := openMemory(t, dir)
	files := func() (list []string) {
		names, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			list = append(list, strings.TrimLeft(strings.TrimSuffix(filepath.Base(name), ".log"), "0"))
		}
		return list
	}
	for _, c := range []struct {
		size int64
		want []string
	}{{0, []string{"1"}}, {segmentSize - 1, []string{"1"}}, {segmentSize, []string{"1", "3"}}, {segmentSize + 1, []string{"1", "3", "4"}}} {
		m.j.size = max(m.j.size, c.size)
		appendIDs(t, m, fmt.Sprint(m.log.end+1))
		if got := files(); !slices.Equal(got, c.want) {
			t.Errorf("the segments begin with %q, want %q", got, c.want)
		}
	}
	for keep, want := range map[int64][]string{3: {"1", "3", "4"}, 2: {"3", "4"}} {
		if keep == 2 {
			continue
		}
		if _, err := m.Trim(t.Context(), Retention{Count: keep}); err != nil {
			t.Fatal(err)
		}
		if got := files(); !slices.Equal(got, want) {
			t.Errorf("%d are kept, and the segments begin with %q, want %q", keep, got, want)
		}
	}
	for _, c := range []struct {
		keep int64
		want []string
	}{{2, []string{"3", "4"}}, {1, []string{"4"}}} {
		if _, err := m.Trim(t.Context(), Retention{Count: c.keep}); err != nil {
			t.Fatal(err)
		}
		if got := files(); !slices.Equal(got, c.want) {
			t.Errorf("%d are kept, and the segments begin with %q, want %q", c.keep, got, c.want)
		}
	}
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// A folder is made with those above it; what fails on the way is said, also when it is
// the disk that does not know of one of them.
func TestTheFoldersOfAJournal(t *testing.T) {
	base := t.TempDir()
	deep := filepath.Join(base, "a", "b", "c")
	full := errors.New("the disk is full")
	for _, fails := range []string{base, filepath.Join(base, "a"), filepath.Join(base, "a", "b")} {
		os.RemoveAll(filepath.Join(base, "a"))
		if err := makeFolder(deep, func(dir string) error {
			if dir == fails {
				return full
			}
			return nil
		}); !errors.Is(err, full) {
			t.Errorf("%s can't be synced: %v, want that it is said", fails, err)
		}
	}
	os.RemoveAll(filepath.Join(base, "a"))
	var synced []string
	for range 2 { // the second time all is there
		if err := makeFolder(deep, func(dir string) error { synced = append(synced, dir); return nil }); err != nil {
			t.Error(err)
		}
	}
	if want := []string{base, filepath.Join(base, "a"), filepath.Join(base, "a", "b")}; !slices.Equal(synced, want) {
		t.Errorf("synced were %q, want each in which a name is new, once", synced)
	}
	if info, err := os.Stat(deep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v, want a folder of the owner's own", info, err)
	}
}

// Close says what can't be written, of each file by itself.
func TestTheCloseOfAJournalThatCannotBeWritten(t *testing.T) {
	for name, spoil := range map[string]func(dir string, j *journal){
		"the segment":  func(_ string, j *journal) { j.file.Close() },
		"the schedule": func(_ string, j *journal) { j.plan.file.Close() },
		"the lock":     func(_ string, j *journal) { j.lock.Close() },
		"the groups":   func(dir string, _ *journal) { os.Mkdir(filepath.Join(dir, "groups.tmp"), 0o700) },
		"":             func(string, *journal) {},
	} {
		dir := filepath.Join(t.TempDir(), "events")
		m := openMemory(t, dir)
		appendIDs(t, m, "1")
		spoil(dir, m.j)
		if err := m.Close(context.Background()); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
		if got := openFiles(dir); len(got) != 0 {
			t.Errorf("%q: %q are open", name, got)
		}
	}
}

// The place of a group is written a while after it has moved, and again until it is.
func TestThePlacesOfGroupsAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "events")
		m := openMemory(t, dir)
		appendIDs(t, m, "1", "2", "3")
		g, err := m.Join(t.Context(), GroupConfig{Name: "g", Start: Beginning()})
		if err != nil {
			t.Fatal(err)
		}
		dirty := func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.j.dirty
		}
		after := func(n int) bool {
			b, err := os.ReadFile(filepath.Join(dir, "groups.json"))
			return err == nil && strings.Contains(string(b), fmt.Sprintf(`"after": %d`, n))
		}
		if !after(0) {
			t.Error("a new group is not there")
		}
		ack := func() {
			ds, err := g.Fetch(t.Context(), 1)
			if err == nil {
				err = g.Ack(t.Context(), ds)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		ack()
		time.Sleep(groupsEvery)
		synctest.Wait()
		if !after(1) {
			t.Error("it has moved, and was not written")
		}
		block := filepath.Join(dir, "groups.tmp")
		if err := os.Mkdir(block, 0o700); err != nil {
			t.Fatal(err)
		}
		ack()
		time.Sleep(10 * groupsEvery)
		synctest.Wait()
		if !after(1) || !dirty() {
			t.Error("it can't be written, and is not to be tried again")
		}
		if err := os.Remove(block); err != nil {
			t.Fatal(err)
		}
		time.Sleep(groupsEvery)
		synctest.Wait()
		if !after(2) || dirty() {
			t.Error("it can be written again, and was not")
		}
		ack()
		if err := m.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !after(3) {
			t.Error("Close has not written it")
		}
		m = openMemory(t, dir)
		if lag := m.groups["g"].lag(m.log.end); lag != (Lag{}) {
			t.Errorf("opened again: %+v, want nothing left", lag)
		}
		if err := m.DeleteGroup(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "groups.json")); err != nil || strings.TrimSpace(string(b)) != "[]" {
			t.Errorf("deleted, and the file has %q, %v", b, err)
		}
		if err := m.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
