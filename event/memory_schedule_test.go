package event

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// planned3 is a memory with the entries a, b and c, due after 1, 2 and 2 seconds.
func planned3(t *testing.T, m *memory) (start time.Time) {
	t.Helper()
	start = time.Now()
	for i, id := range []string{"c", "a", "b"} {
		plan(t, m, id, start.Add(time.Duration([]int{2, 1, 2}[i])*time.Second), "")
	}
	return start
}

func plan(t *testing.T, m *memory, id string, due time.Time, recurrence string) {
	t.Helper()
	if err := m.Schedule(t.Context(), []Scheduled{{ID: id, Due: due, Recurrence: recurrence, Record: &Record{ID: id, Type: "t"}}}); err != nil {
		t.Fatal(err)
	}
}

func idsOfPlans(list []Scheduled) string {
	var ids []string
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return strings.Join(ids, " ")
}

// What is scheduled is listed by its time and its ID, a page at a time.
func TestPagesOfASchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(Retention{})
		if m.schedule.some() {
			t.Error("an empty schedule has some")
		}
		planned3(t, m)
		if !m.schedule.some() {
			t.Error("a schedule of three has none")
		}
		for limit, want := range map[int][]string{1: {"a", "b", "c"}, 2: {"a b", "c"}, 3: {"a b c"}, 4: {"a b c"}} {
			var pages []string
			for from := ""; ; {
				list, next, err := m.Scheduled(t.Context(), from, limit)
				if err != nil {
					t.Fatal(err)
				}
				pages = append(pages, idsOfPlans(list))
				if next == "" {
					break
				}
				from = next
			}
			if !slices.Equal(pages, want) {
				t.Errorf("pages of %d: %q, want %q", limit, pages, want)
			}
		}
		list, _, err := m.Scheduled(t.Context(), "", 1)
		if err != nil {
			t.Fatal(err)
		}
		list[0].Record.Type = "changed"
		list, _, err = m.Scheduled(t.Context(), "", 1)
		if err != nil || list[0].Record.Type != "t" {
			t.Errorf("%+v, %v, want one of its own", list, err)
		}
	})
}

// What is due is due at its time, no more than asked for, and the next one is known.
func TestWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(Retention{})
		start := planned3(t, m)
		for _, c := range []struct {
			sleep time.Duration
			limit int
			due   string
			next  time.Duration // 0: none
		}{
			{time.Second - 1, 9, "", time.Second},
			{1, 9, "a", 2 * time.Second},
			{time.Second, 9, "a b c", 0},
			{0, 2, "a b", 2 * time.Second},
			{0, 1, "a", 2 * time.Second},
		} {
			time.Sleep(c.sleep)
			now, err := m.Due(t.Context(), c.limit)
			next := time.Time{}
			if c.next > 0 {
				next = start.Add(c.next)
			}
			if err != nil || idsOfPlans(now.Entries) != c.due || !now.Next.Equal(next) || !now.Now.Equal(time.Now()) {
				t.Errorf("%+v: %q and then %v, %v", c, idsOfPlans(now.Entries), now.Next, err)
			}
		}
		if list, _, err := m.Scheduled(t.Context(), "", 9); err != nil || idsOfPlans(list) != "a b c" {
			t.Errorf("left are %q, %v, want all", idsOfPlans(list), err)
		}
	})
}

// An entry is fired once, as it was seen; what has changed since is left alone.
func TestFiringAnEntry(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *firing)
		again  bool // the entry was replaced meanwhile
		fired  int
		log    string
		left   string
	}{
		{"once", func(*firing) {}, false, 1, "a", "b c"},
		{"and again later", func(f *firing) { f.Next = f.Due.Add(time.Hour) }, false, 1, "a", "b c a"},
		{"only later", func(f *firing) { f.Record, f.Next = nil, f.Due.Add(time.Hour) }, false, 1, "", "b c a"},
		{"not at all", func(f *firing) { f.Record = nil }, false, 1, "", "b c"},
		{"another time", func(f *firing) { f.Due = f.Due.Add(1) }, false, 0, "", "a b c"},
		{"another version", func(f *firing) { f.Version += "0" }, false, 0, "", "a b c"},
		{"another ID", func(f *firing) { f.ID = "x" }, false, 0, "", "a b c"},
		{"replaced", func(*firing) {}, true, 0, "", "a b c"},
	} {
		dir := filepath.Join(t.TempDir(), "events")
		for what, m := range map[string]*memory{"memory": newMemory(Retention{}), "journal": openMemory(t, dir)} {
			planned3(t, m)
			seen, _, err := m.Scheduled(t.Context(), "", 1)
			if err != nil {
				t.Fatal(err)
			}
			if c.again {
				plan(t, m, "a", seen[0].Due, "")
			}
			f := firing{ID: seen[0].ID, Due: seen[0].Due, Version: seen[0].Version, Record: seen[0].Record}
			c.change(&f)
			n, err := m.Fire(t.Context(), []firing{f})
			if err != nil || n != c.fired {
				t.Errorf("%s, %s: %d were fired, %v, want %d", what, c.name, n, err, c.fired)
			}
			check := func(m *memory) {
				t.Helper()
				if got := strings.Join(kept(t, m), " "); got != c.log {
					t.Errorf("%s, %s: published are %q, want %q", what, c.name, got, c.log)
				}
				if list, _, err := m.Scheduled(t.Context(), "", 9); err != nil || idsOfPlans(list) != c.left {
					t.Errorf("%s, %s: left are %q, %v, want %q", what, c.name, idsOfPlans(list), err, c.left)
				}
			}
			check(m)
			if err := m.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if what == "journal" {
				m = openMemory(t, dir)
				check(m)
				if err := m.Close(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// An entry that a journal had, and that was published before the journal could note so,
// is not published again. One that has the ID of a record from before it is.
func TestWhatWasPublishedIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		after bool // the record came after the entry
		want  string
	}{"before": {false, "a a"}, "after": {true, "a"}} {
		dir := filepath.Join(t.TempDir(), "events")
		m := openMemory(t, dir)
		if !c.after {
			appendIDs(t, m, "a")
		}
		planned3(t, m)
		if c.after {
			appendIDs(t, m, "a")
		}
		if err := m.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		m = openMemory(t, dir)
		p := m.schedule.byID["a"]
		if n, err := m.Fire(t.Context(), []firing{{ID: "a", Due: p.Due, Version: p.Version, Record: p.Record}}); err != nil || n != 1 {
			t.Errorf("%s: %d were fired, %v", name, n, err)
		}
		if got := strings.Join(kept(t, m), " "); got != c.want {
			t.Errorf("%s: published are %q, want %q", name, got, c.want)
		}
		if err := m.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// A schedule that is given again keeps its time if its rule is the same, and only then.
func TestAScheduleThatIsGivenAgain(t *testing.T) {
	start := time.Now().Truncate(time.Millisecond).UTC()
	for _, c := range []struct {
		first, second string
		keeps         bool
	}{{"every 1h0m0s", "every 1h0m0s", true}, {"every 1h0m0s", "every 2h0m0s", false}, {"", "", false}, {"every 1h0m0s", "", false}, {"", "every 1h0m0s", false}} {
		m := newMemory(Retention{})
		plan(t, m, "x", start, c.first)
		plan(t, m, "x", start.Add(time.Second), c.second)
		list, _, err := m.Scheduled(t.Context(), "", 9)
		if err != nil || len(list) != 1 || list[0].Due.Equal(start) != c.keeps || list[0].Recurrence != c.second || list[0].Version != "2" {
			t.Errorf("%+v: %+v, %v", c, list, err)
		}
	}
	m := newMemory(Retention{})
	plan(t, m, "x", start, "")
	for i, want := range []error{nil, fault.NotFound} {
		if err := m.Unschedule(t.Context(), "x"); !errors.Is(err, want) {
			t.Errorf("removed %d times: %v, want %v", i+1, err, want)
		}
	}
}

// keeper is a stream whose schedule a test plays.
type keeper struct {
	Driver
	due  func(limit int) (dueNow, error)
	fire func(list []firing) (int, error)
}

func (k *keeper) Ping(context.Context) error                       { return nil }
func (k *keeper) Schedule(context.Context, []Scheduled) error      { return nil }
func (k *keeper) Unschedule(context.Context, string) error         { return nil }
func (k *keeper) Due(_ context.Context, limit int) (dueNow, error) { return k.due(limit) }
func (k *keeper) Fire(_ context.Context, list []firing) (int, error) {
	return k.fire(list)
}
func (k *keeper) Scheduled(context.Context, string, int) ([]Scheduled, string, error) {
	return nil, "", nil
}

// onKeeper is the timekeeper of a stream on k.
func onKeeper(t *testing.T, k *keeper) (*timekeeper, *logged) {
	t.Helper()
	lines := &logged{}
	o, err := newOptions([]Option{WithLogger(textLogger(lines))})
	if err != nil {
		t.Fatal(err)
	}
	return &timekeeper{f: &front{o: o, driver: k, nudge: make(chan struct{}, 1)}, d: k}, lines
}

// How long the timekeeper waits, and how much it asks for: all at first, less after
// failures, and all again after a success.
func TestATurnOfTheTimekeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{}
		tk, lines := onKeeper(t, k)
		var limits []int
		down := errors.New("down")
		fails := true
		k.due = func(limit int) (dueNow, error) {
			limits = append(limits, limit)
			if fails {
				return dueNow{}, down
			}
			return dueNow{Now: time.Now(), Next: time.Now().Add(time.Minute)}, nil
		}
		for n := range 9 {
			pause, some := tk.turn(t.Context())
			if !some || tk.failed != n+1 || pause <= 0 || pause > askRarely {
				t.Errorf("failure %d: %v, %v", n+1, pause, some)
			}
		}
		if want := []int{100, 50, 25, 12, 6, 3, 1, 1, 1}; !slices.Equal(limits, want) {
			t.Errorf("it asks for %v, want %v", limits, want)
		}
		if n := lines.times("publishing what is scheduled failed"); n != 1 {
			t.Errorf("%d lines in the log of a failure that lasts, want 1", n)
		}
		fails, limits = false, nil
		if pause, some := tk.turn(t.Context()); pause != time.Minute || !some || tk.failed != 0 {
			t.Errorf("%v, %v, want to wait for the next entry", pause, some)
		}
		tk.lost = true
		for range 20 {
			if pause, _ := tk.turn(t.Context()); pause < time.Minute || pause >= time.Minute+2*standAside {
				t.Errorf("%v, want a little longer after others were faster", pause)
			}
		}
		k.due = func(int) (dueNow, error) { return dueNow{Now: time.Now()}, nil }
		if pause, some := tk.turn(t.Context()); pause < time.Hour || some {
			t.Errorf("%v, %v, want that nothing is scheduled", pause, some)
		}
		k.due = func(int) (dueNow, error) {
			return dueNow{Now: time.Now(), Next: time.Now().Add(-time.Second)}, nil
		}
		tk.lost = false
		if pause, some := tk.turn(t.Context()); pause != 0 || !some {
			t.Errorf("%v, %v, want the next one at once, whose time is over", pause, some)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		k.due = func(int) (dueNow, error) { return dueNow{}, context.Canceled }
		tk.turn(ended)
		if n := lines.times("publishing what is scheduled failed"); n != 1 {
			t.Error("the end is in the log")
		}
	})
}

// What is due is fired together. What the backend refuses is fired one by one, and put
// off if it still does; other failures end the turn.
func TestFiringWhatIsDue(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	tooLarge, invalid, down := fault.Markf(fault.TooLarge, "large"), fault.Markf(fault.Invalid, "bad"), errors.New("down")
	for _, c := range []struct {
		name  string
		fire  func(ids string, put bool) error
		calls []string // "off" after an entry that is put off
		err   error
	}{
		{"together", func(string, bool) error { return nil }, []string{"a b c"}, nil},
		{"down", func(string, bool) error { return down }, []string{"a b c"}, down},
		{"too much together", func(ids string, _ bool) error {
			if len(ids) > 1 {
				return tooLarge
			}
			return nil
		}, []string{"a b c", "a", "b", "c"}, nil},
		{"one that is refused", func(ids string, off bool) error {
			if strings.Contains(ids, "b") && !off {
				return invalid
			}
			return nil
		}, []string{"a b c", "a", "b", "b off", "c"}, nil},
		{"one that is too large", func(ids string, off bool) error {
			if strings.Contains(ids, "b") && !off {
				return tooLarge
			}
			return nil
		}, []string{"a b c", "a", "b", "b off", "c"}, nil},
		{"one that can't be put off", func(ids string, off bool) error {
			switch {
			case off:
				return down
			case strings.Contains(ids, "b"):
				return tooLarge
			}
			return nil
		}, []string{"a b c", "a", "b", "b off"}, down},
		{"down in between", func(ids string, _ bool) error {
			switch {
			case len(ids) > 1:
				return tooLarge
			case ids == "b":
				return down
			}
			return nil
		}, []string{"a b c", "a", "b"}, down},
	} {
		var calls []string
		k := &keeper{}
		k.fire = func(list []firing) (int, error) {
			var ids []string
			for _, f := range list {
				ids = append(ids, f.ID)
			}
			call := strings.Join(ids, " ")
			off := list[0].Record == nil
			err := c.fire(call, off)
			if off {
				call += " off"
				if want := now.Add(postpone); !list[0].Next.Equal(want) {
					t.Errorf("%s: put off until %v, want %v", c.name, list[0].Next, want)
				}
			}
			calls = append(calls, call)
			return len(list), err
		}
		tk, lines := onKeeper(t, k)
		due := dueNow{Now: now}
		for _, id := range []string{"a", "b", "c"} {
			due.Entries = append(due.Entries, Scheduled{ID: id, Due: now, Record: &Record{ID: id, Type: "t"}})
		}
		if err := tk.fire(t.Context(), due); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if !slices.Equal(calls, c.calls) {
			t.Errorf("%s: fired %q, want %q", c.name, calls, c.calls)
		}
		off := 0
		for _, call := range calls {
			if strings.HasSuffix(call, "off") {
				off++
			}
		}
		if got := lines.times("refuses a scheduled record"); got != off {
			t.Errorf("%s: %d lines in the log, want %d", c.name, got, off)
		}
	}
	for n, lost := range map[int]bool{0: true, 1: false} {
		k := &keeper{fire: func([]firing) (int, error) { return n, nil }}
		tk, _ := onKeeper(t, k)
		if err := tk.fire(t.Context(), dueNow{Now: now, Entries: []Scheduled{{ID: "a", Record: &Record{}}}}); err != nil || tk.lost != lost {
			t.Errorf("%d fired: %v, others were faster: %v", n, err, tk.lost)
		}
	}
}

// What becomes of an entry that is due.
func TestWhatBecomesOfAnEntry(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 1500, time.UTC)
	due := now.Add(-90 * time.Minute).Truncate(time.Millisecond)
	later := now.Add(postpone).Truncate(time.Millisecond)
	r := &Record{ID: "r", Type: "t"}
	rooted := &Record{ID: "r", RootID: "root", Type: "t"}
	for _, c := range []struct {
		name   string
		e      Scheduled
		record string // ID, time and root
		next   time.Time
		says   string
	}{
		{"once", Scheduled{ID: "r", Due: due, Record: r}, "r 0001-01-01T00:00:00.000Z ", time.Time{}, ""},
		{"every hour", Scheduled{ID: "n", Due: due, Recurrence: "every 1h0m0s", Record: r}, "n@2026-05-01T08:30:00.000Z 2026-05-01T08:30:00.000Z n@2026-05-01T08:30:00.000Z", due.Add(2 * time.Hour), ""},
		{"in a story", Scheduled{ID: "n", Due: due, Recurrence: "every 1h0m0s", Record: rooted}, "n@2026-05-01T08:30:00.000Z 2026-05-01T08:30:00.000Z root", due.Add(2 * time.Hour), ""},
		{"of a newer version", Scheduled{ID: "n", Due: due, Err: errors.New("no record")}, "", later, "scheduled record is not understood"},
		{"of a rule that is not known", Scheduled{ID: "n", Due: due, Recurrence: "monthly", Record: r}, "", later, "recurring schedule is not understood"},
		{"of a place that is not known", Scheduled{ID: "n", Due: due, Recurrence: "cron Europe/Nowhere 0 9 * * *", Record: r}, "", later, "recurring schedule is not understood"},
		{"beyond what times can say", Scheduled{ID: "n", Due: due, Recurrence: "every 2200000h0m0s", Record: r}, "", later, "recurring schedule is not understood"},
	} {
		tk, lines := onKeeper(t, &keeper{})
		f := tk.firing(c.e, now)
		got := ""
		if f.Record != nil {
			got = fmt.Sprint(f.Record.ID, " ", f.Record.Time.Format("2006-01-02T15:04:05.000Z"), " ", f.Record.RootID)
		}
		if got != c.record || !f.Next.Equal(c.next) || f.ID != c.e.ID || !f.Due.Equal(due) {
			t.Errorf("%s: %q, then %v, want %q and %v", c.name, got, f.Next, c.record, c.next)
		}
		if n := lines.times("level=ERROR"); n != min(len(c.says), 1) || lines.times(c.says) == 0 {
			t.Errorf("%s: %d lines in the log: %s", c.name, n, lines.text.String())
		}
	}
}
