package event

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event/internal/codec"
)

const firstSegment = "00000000000000000001.log"

// frameOf is a frame of a journal, whole.
func frameOf(body string) string {
	return string(appendFrame(nil, func(b []byte) []byte { return append(b, body...) }))
}

// What is wrong with a journal is told when it is opened, and it is not touched. Only
// the end of what was written last may be missing.
func TestAJournalThatIsNotUnderstood(t *testing.T) {
	time8 := strings.Repeat("\x00", 8)
	record := string(codec.Append(nil, (&Record{ID: "1", Type: "t"}).encodable()))
	item := "+\x02\x00" + string(codec.AppendText(codec.AppendText(nil, "1"), "")) // due, after, ID, recurrence
	for _, c := range []struct {
		what, name, text string // "" as text is a folder
		says             string // "" is none
	}{
		{"a record", firstSegment, frameOf(time8 + record), ""},
		{"half a head", firstSegment, frameOf(time8 + record)[:5], ""},
		{"half a record", firstSegment, frameOf(time8 + record)[:20], ""},
		{"a length that can't be", firstSegment, strings.Repeat("\xff", 100), ""},
		{"a length that is too small", firstSegment, frameOf(time8[:7]), ""},
		{"no record", firstSegment, frameOf(time8 + "\xff\xff\xff"), "events"},
		{"a folder in place of a segment", firstSegment, "", "is a directory"},
		{"a name without a number", "first.log", "x", "first.log is no segment"},
		{"a segment 0", "00000000000000000000.log", "x", "00000000000000000000.log is no segment"},
		{"a folder in place of the lock", "lock", "", "is a directory"},
		{"groups", "groups.json", `[{"name":"g","types":["a.*"],"after":0}]`, ""},
		{"groups that are no JSON", "groups.json", "{", "JSON"},
		{"a pattern of a group", "groups.json", `[{"name":"g","types":["a.*.*b**"],"after":0}]`, "pattern"},
		{"a folder in place of groups", "groups.json", "", "is a directory"},
		{"a schedule", "schedule.dat", frameOf(item+record) + frameOf("-\x011"), ""},
		{"half a schedule", "schedule.dat", frameOf(item + record)[:12], ""},
		{"a changed schedule", "schedule.dat", "\x01\x00\x00\x00\x00\x00\x00\x00-", ""},
		{"no record in the schedule", "schedule.dat", frameOf(item + "\xff\xff\xff"), "not understood at byte 0"},
		{"no due time in the schedule", "schedule.dat", frameOf("+"), "not understood at byte 0"},
		{"no ID in the schedule", "schedule.dat", frameOf("-\x011") + frameOf("-"), "not understood at byte 11"},
		{"a folder in place of the schedule", "schedule.dat", "", "is a directory"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "events", c.name)
		err := os.Mkdir(filepath.Dir(path), 0o700)
		if c.text == "" {
			err = errors.Join(err, os.Mkdir(path, 0o700))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(c.text), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Journal(dir))
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
				continue
			}
			err = errors.Join(s.Publish(t.Context(), &Record{Type: "t"}), s.Close(context.Background()))
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.what, err, c.says)
		}
		if err == nil {
			s.Close(context.Background())
		}
		if text, _ := os.ReadFile(path); string(text) != c.text {
			t.Errorf("%s: it was changed to %q", c.what, text)
		}
	}
}

func TestAJournalNeedsAFolder(t *testing.T) {
	if _, err := New(Journal("")); !errors.Is(err, ErrInvalid) {
		t.Errorf("no name: %v, want ErrInvalid", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Journal(filepath.Join(file, "below"))); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a file in its way: %v, want ErrUnavailable", err)
	}
}

// openMemory opens a journal and gives access to its files.
func openMemory(t *testing.T, dir string) *memory {
	t.Helper()
	m := newMemory(Retention{})
	j, err := openJournal(dir, syncDir, m)
	if err != nil {
		t.Fatal(err)
	}
	m.j = j
	return m
}

// What can't be written says so, and so does all that comes after it until the
// journal is opened again. Then all is there that was acknowledged, and no more than
// what may be.
func TestAJournalThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	m := openMemory(t, dir)
	ctx := t.Context()
	add := func(id string) error {
		_, err := m.Append(ctx, []*Record{{ID: id, Type: "t"}})
		return err
	}
	plan := func(id string) error {
		return m.Schedule(ctx, []Scheduled{{ID: id, Due: time.Now().Add(time.Hour), Record: &Record{ID: id, Type: "t"}}})
	}
	if err := errors.Join(add("1"), plan("1")); err != nil {
		t.Fatal(err)
	}
	m.j.file.Close()
	m.j.plan.file.Close()
	for what, write := range map[string]func(id string) error{"a record": add, "a plan": plan} {
		if err := write("2"); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%s: %v, want ErrUnknownOutcome", what, err)
		}
		if err := write("3"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s after it: %v, want ErrUnavailable", what, err)
		}
	}
	if err := m.Unschedule(ctx, "1"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a plan that goes: %v, want ErrUnavailable", err)
	}
	p := m.schedule.byID["1"]
	if n, err := m.Fire(ctx, []firing{{ID: "1", Due: p.Due, Version: p.Version, Record: p.Record}}); n != 0 || !errors.Is(err, ErrUnavailable) {
		t.Errorf("a record that is due: %d, %v, want ErrUnavailable", n, err)
	}
	if err := m.Close(context.Background()); err == nil {
		t.Error("Close says nothing of files that can't be written")
	}
	m = openMemory(t, dir)
	if m.log.end != 1 || len(m.schedule.byID) != 1 || m.schedule.byID["1"] == nil {
		t.Errorf("%d records and %d plans are there, want those that were acknowledged", m.log.end, len(m.schedule.byID))
	}
	if err := errors.Join(add("4"), plan("4"), m.Close(context.Background())); err != nil {
		t.Error(err)
	}
}

// What fails and can be taken back leaves no trace, and what comes next is written.
func TestAWriteToAJournalThatIsTakenBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	m := openMemory(t, dir)
	ctx := t.Context()
	for what, c := range map[string]struct {
		file  **os.File
		write func(id string) error
	}{
		"a record": {&m.j.file, func(id string) error {
			_, err := m.Append(ctx, []*Record{{ID: id, Type: "t"}})
			return err
		}},
		"a plan": {&m.j.plan.file, func(id string) error {
			return m.Schedule(ctx, []Scheduled{{ID: id, Due: time.Now().Add(time.Hour), Record: &Record{ID: id, Type: "t"}}})
		}},
	} {
		if err := c.write("1"); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		well := *c.file
		unwell, err := os.OpenFile(well.Name(), os.O_RDWR|os.O_APPEND, 0o600) // which refuses a write at a place
		if err != nil {
			t.Fatal(err)
		}
		*c.file = unwell
		if err := c.write("2"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
		*c.file = well
		unwell.Close()
		if err := c.write("3"); err != nil {
			t.Errorf("%s after it: %v", what, err)
		}
	}
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	m = openMemory(t, dir)
	defer m.Close(context.Background())
	page, err := m.Read(ctx, ReadRequest{From: Beginning(), Max: 10})
	if err != nil || len(page.Records) != 2 || page.Records[0].ID != "1" || page.Records[1].ID != "3" {
		t.Errorf("records %v, %v, want 1 and 3", page.Records, err)
	}
	if len(m.schedule.byID) != 2 || m.schedule.byID["1"] == nil || m.schedule.byID["3"] == nil {
		t.Errorf("plans %v, want 1 and 3", m.schedule.byID)
	}
}

// The name of a folder is no pattern.
func TestAJournalInAFolderOfAnyName(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"a[", "a[1]", "a1"} {
		for _, id := range []string{"1", "2"} {
			m := openMemory(t, filepath.Join(base, name))
			if _, err := m.Append(t.Context(), []*Record{{ID: id, Type: "t"}}); err != nil {
				t.Errorf("%s: record %s: %v", name, id, err)
			}
			if want := id[0] - '0'; m.log.end != uint64(want) {
				t.Errorf("%s: %d records, want %d", name, m.log.end, want)
			}
			if err := m.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}

// A file in the way of a new one fails what needs it, and nothing else, until it is
// gone.
func TestAFileInTheWayOfAJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	m := openMemory(t, dir)
	ctx := t.Context()
	mkdir := func(path string) error { return os.Mkdir(path, 0o700) }
	full := mkdir // or what takes no byte
	if _, err := os.Stat("/dev/full"); err == nil {
		full = func(path string) error { return os.Symlink("/dev/full", path) }
	}
	plan := func() error {
		return m.Schedule(ctx, []Scheduled{{ID: "1", Due: time.Now().Add(time.Hour), Record: &Record{ID: "1", Type: "t"}}})
	}
	join := func(group string) func() error {
		return func() error {
			_, err := m.Join(ctx, GroupConfig{Name: group, Consumer: "c"})
			return err
		}
	}
	rewrite := func() error { // the schedule is written again when it has too many changes
		m.j.plan.lines = 2*len(m.schedule.byID) + rewriteAfter + 1
		return plan()
	}
	for _, c := range []struct {
		name  string
		block func(path string) error
		call  func() error
	}{
		{firstSegment, mkdir, func() error {
			_, err := m.Append(ctx, []*Record{{ID: "1", Type: "t"}})
			return err
		}},
		{"groups.json", mkdir, join("f")},
		{"groups.tmp", full, join("g")},
		{"groups.tmp", mkdir, join("h")},
		{"schedule.tmp", full, rewrite},
		{"schedule.tmp", mkdir, rewrite},
	} {
		path := filepath.Join(dir, c.name)
		if err := c.block(path); err != nil {
			t.Fatal(err)
		}
		if err := c.call(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s is in the way: %v, want ErrUnavailable", c.name, err)
		}
		os.Remove(path)
		if err := c.call(); err != nil {
			t.Errorf("%s is gone: %v", c.name, err)
		}
	}
	// At the limit the schedule is not written again, and beyond it is.
	for _, c := range []struct{ over, want int }{{0, 2*1 + rewriteAfter + 1}, {1, 2}} {
		m.j.plan.lines = 2*len(m.schedule.byID) + rewriteAfter + c.over
		if err := plan(); err != nil || m.j.plan.lines != c.want {
			t.Errorf("%d over the limit: %v, and %d changes are in the file, want %d", c.over, err, m.j.plan.lines, c.want)
		}
	}
	if err := m.Close(context.Background()); err != nil {
		t.Error(err)
	}
	m = openMemory(t, dir)
	if m.log.end != 1 || len(m.groups) != 3 || m.schedule.byID["1"] == nil {
		t.Errorf("%d records, groups %v, plans %v, want one, three and one", m.log.end, m.groups, m.schedule.byID)
	}
	if err := m.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
