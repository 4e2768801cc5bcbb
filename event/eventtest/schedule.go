package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// schedules opens a stream that can schedule, or checks that it says that it can't.
func (b *bench) schedules(t *testing.T, opts ...event.Option) (event.Stream, bool) {
	t.Helper()
	s := b.open(t, opts...)
	if s.Features().Scheduled {
		return s, true
	}
	r := &event.Record{Type: "t"}
	wantErr(t, "PublishAt", s.PublishAt(t.Context(), time.Now(), r), event.ErrUnsupported)
	wantErr(t, "Schedule", s.Schedule(t.Context(), "n", event.Every(time.Hour), r), event.ErrUnsupported)
	wantErr(t, "Cancel", s.Cancel(t.Context(), "n"), event.ErrUnsupported)
	for _, err := range s.Scheduled(t.Context()) {
		wantErr(t, "Scheduled", err, event.ErrUnsupported)
	}
	return s, false
}

func publishAt(t testing.TB, s event.Stream, at time.Time, rs ...*event.Record) {
	t.Helper()
	if err := s.PublishAt(t.Context(), at, rs...); err != nil {
		t.Fatalf("PublishAt: %v", err)
	}
}

func scheduled(t testing.TB, s event.Stream) []event.Scheduled {
	t.Helper()
	var list []event.Scheduled
	for e, err := range s.Scheduled(t.Context()) {
		if err != nil {
			t.Fatalf("Scheduled: %v", err)
		}
		list = append(list, e)
	}
	return list
}

func scheduledIDs(t testing.TB, s event.Stream) []string {
	t.Helper()
	ids := []string{}
	for _, e := range scheduled(t, s) {
		ids = append(ids, e.ID)
	}
	return ids
}

// waits for longer than a clock of another machine would differ here: both are ours.
const soon = 300 * time.Millisecond

func scheduleOnce(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok {
		return
	}
	other := s // another process, where there can be one
	if s.Features().Shared {
		other = b.open(t)
	}
	var mu sync.Mutex
	came := map[string]time.Time{}
	var group, live got
	h := func(ctx context.Context, r *event.Record) error {
		mu.Lock()
		came[r.ID] = time.Now()
		mu.Unlock()
		return group.handle(ctx, r)
	}
	subscribe(t, s, h, event.Group("g"))
	subscribe(t, other, h, event.Group("g"))
	subscribe(t, other, live.handle)
	publishAt(t, s, time.Now().Add(-time.Hour), &event.Record{ID: "past", Type: "t"})
	eventually(t, "what is overdue, at once", func() bool { return group.len() == 1 && live.len() == 1 })
	at := time.Now().Add(soon)
	later := &event.Record{ID: "later", Type: "t", Subject: "s", Metadata: map[string]string{"k": "v"}, Data: []byte("data")}
	publishAt(t, s, at, later, &event.Record{ID: "own time", Type: "t", Time: time.Unix(1, 0)})
	publishAt(t, s, at.Add(time.Hour), &event.Record{ID: "not yet", Type: "t"})
	if later.Position != "" || !later.Time.IsZero() {
		t.Errorf("the record was changed: %+v", later)
	}
	if rs := all(t, s, event.ID("later")); len(rs) != 0 && time.Now().Before(at) {
		t.Error("in the history before its time")
	}
	eventually(t, "all that is due", func() bool { return group.len() >= 3 && live.len() >= 3 })
	quiet()
	if group.len() != 3 || live.len() != 3 {
		t.Errorf("the group was handed %v, the subscription without one %v, want three each", group.list(), live.list())
	}
	mu.Lock()
	defer mu.Unlock()
	for _, id := range []string{"later", "own time"} {
		if early := at.Sub(came[id]); early > 0 {
			t.Errorf("%s came %v before its time", id, early)
		}
	}
	rs := all(t, s, event.ID("later"))
	if len(rs) != 1 {
		t.Fatalf("%d records in the history, want 1", len(rs))
	}
	want := at.UTC().Truncate(time.Millisecond)
	if r := rs[0]; r.Subject != "s" || r.Metadata["k"] != "v" || string(r.Data) != "data" || r.RootID != "later" || r.Time.Before(want) || r.Time.After(want.Add(time.Millisecond)) {
		t.Errorf("published %+v, want what was scheduled, with the time %v", r, want)
	}
	if rs := all(t, s, event.ID("own time")); !rs[0].Time.Equal(time.Unix(1, 0)) {
		t.Errorf("its own time became %v", rs[0].Time)
	}
	if ids := scheduledIDs(t, other); !slices.Equal(ids, []string{"not yet"}) {
		t.Errorf("left in the schedule: %v, want what is not due", ids)
	}
}

// schedulePublisher: a process that only publishes fires what others have scheduled.
func schedulePublisher(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok || !s.Features().Shared {
		return
	}
	publishAt(t, s, time.Now().Add(soon), &event.Record{ID: "of another", Type: "t"})
	shut(t, s)
	s = b.open(t)
	publish(t, s, &event.Record{ID: "of this one", Type: "t"})
	eventually(t, "what another process has scheduled", func() bool { return len(all(t, s, event.ID("of another"))) == 1 })
}

// scheduleReplaced: what takes an entry's place at the moment when it is due is
// published, after the former or instead of it, also with the same due time.
func scheduleReplaced(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok {
		return
	}
	other := s
	if s.Features().Shared {
		other = b.open(t)
	}
	const n, rounds = 100, 3
	for round := range rounds {
		due := time.Now().Add(soon)
		entries := func(version string) (rs []*event.Record) {
			for i := range n {
				rs = append(rs, &event.Record{ID: fmt.Sprintf("%d-%04d", round, i), Type: "t", Subject: version})
			}
			return rs
		}
		publishAt(t, s, due, entries("old")...)
		publish(t, other, &event.Record{ID: fmt.Sprint("round", round), Type: "t"}) // both processes look for what is due
		<-time.After(time.Until(due))
		for _, r := range entries("new") {
			publishAt(t, s, due, r)
		}
		eventually(t, "all are published", func() bool { return len(scheduledIDs(t, s)) == 0 })
		last := map[string]string{}
		for _, r := range all(t, s) {
			last[r.ID] = r.Subject
		}
		for i := range n {
			if id := fmt.Sprintf("%d-%04d", round, i); last[id] != "new" {
				t.Fatalf("round %d: the last of %s is %q, want the one that took its place", round, id, last[id])
			}
		}
	}
}

func scheduleCancel(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok {
		return
	}
	var g got
	subscribe(t, s, g.handle)
	far := time.Now().Add(time.Hour)
	publishAt(t, s, far, &event.Record{ID: "replaced", Type: "t", Subject: "old"}, &event.Record{ID: "cancelled", Type: "t"})
	publishAt(t, s, time.Now().Add(soon), &event.Record{ID: "replaced", Type: "t", Subject: "new"}, &event.Record{ID: "too", Type: "t"})
	for _, id := range []string{"cancelled", "too"} {
		if err := s.Cancel(t.Context(), id); err != nil {
			t.Errorf("cancelling %s: %v", id, err)
		}
		wantErr(t, "cancelling again", s.Cancel(t.Context(), id), event.ErrNotFound)
	}
	wantErr(t, "cancelling what never was", s.Cancel(t.Context(), "never"), event.ErrNotFound)
	wantErr(t, "an empty ID", s.Cancel(t.Context(), ""), event.ErrInvalid)
	eventually(t, "the replaced one", func() bool { return g.len() > 0 })
	quiet()
	if got := g.subjects(); !slices.Equal(got, []string{"new"}) {
		t.Errorf("published %v, want the new one", got)
	}
	wantErr(t, "cancelling what was published", s.Cancel(t.Context(), "replaced"), event.ErrNotFound)
	if list := scheduled(t, s); len(list) != 0 {
		t.Errorf("left: %+v", list)
	}
}

// scheduleList: many of one due time, in pages, in order.
func scheduleList(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok {
		return
	}
	far := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	const n = 1030
	rs := make([]*event.Record, n)
	for i := range rs {
		rs[i] = &event.Record{ID: fmt.Sprintf("%04d", i), Type: "t", Subject: "s"}
	}
	publishAt(t, s, far, rs...)
	publishAt(t, s, far.Add(time.Millisecond), &event.Record{ID: "last", Type: "t"})
	publishAt(t, s, far.Add(-time.Millisecond), &event.Record{ID: "first", Type: "t"})
	if err := s.Schedule(t.Context(), "each", event.Every(24*time.Hour), &event.Record{Type: "each"}); err != nil {
		t.Fatal(err)
	}
	list := scheduled(t, s)
	ids := map[string]event.Scheduled{}
	for _, e := range list {
		ids[e.ID] = e
	}
	if len(list) != n+3 || len(ids) != n+3 {
		t.Fatalf("%d entries, %d different ones, want %d", len(list), len(ids), n+3)
	}
	if list[0].ID != "first" || list[n+1].ID != "last" || list[n+2].ID != "each" {
		t.Errorf("order: %s, …, %s, %s", list[0].ID, list[n+1].ID, list[n+2].ID)
	}
	if e := ids["0007"]; !e.Due.Equal(far) || e.Record == nil || e.Record.Subject != "s" || e.Recurrence != "" {
		t.Errorf("listed %+v, want it due %v", e, far)
	}
	if e := ids["each"]; e.Recurrence != "every 24h0m0s" || e.Record.Type != "each" {
		t.Errorf("listed %+v", e)
	}
	for e, err := range s.Scheduled(t.Context()) {
		if err != nil || e.ID != "first" {
			t.Errorf("%+v, %v", e, err)
		}
		break
	}
}

// scheduleShared: many due at one moment, seen by several processes, are published
// once each; also those of a process that has ended.
func scheduleShared(t *testing.T, b *bench) {
	first, ok := b.schedules(t)
	if !ok {
		return
	}
	n, due := 300, time.Now().Add(soon)
	rs := make([]*event.Record, n)
	for i := range rs {
		rs[i] = &event.Record{ID: fmt.Sprintf("%04d", i), Type: "t"}
	}
	publishAt(t, first, due, rs...)
	var g got
	s := first
	if first.Features().Durable || first.Features().Shared {
		shut(t, first) // before they are due
		s = b.open(t)
		subscribe(t, s, g.handle, event.Group("g"), event.From(event.Beginning()))
	}
	if s.Features().Shared {
		for range 3 {
			subscribe(t, b.open(t), g.handle, event.Group("g"), event.From(event.Beginning()))
		}
	}
	eventually(t, "all are published", func() bool { return len(scheduledIDs(t, s)) == 0 })
	seen := map[string]int{}
	for _, r := range all(t, s) {
		seen[r.ID]++
	}
	if len(seen) != n || len(all(t, s)) != n {
		t.Errorf("%d different records, %d in all, want %d once each", len(seen), len(all(t, s)), n)
	}
	if s != first {
		eventually(t, "the group has all", func() bool { return g.len() >= n })
		quiet()
		if g.len() != n {
			t.Errorf("the group was handed %d, want %d", g.len(), n)
		}
	}
}

func scheduleRecurs(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok {
		return
	}
	other := s
	if s.Features().Shared {
		other = b.open(t)
	}
	var g got
	subscribe(t, s, g.handle, event.Group("g"))
	subscribe(t, other, g.handle, event.Group("g"))
	each := func(s event.Stream, when event.Recurrence, subject string) {
		t.Helper()
		if err := s.Schedule(t.Context(), "tick", when, &event.Record{Type: "t", Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	each(s, event.Every(time.Hour), "0")
	slow := scheduled(t, s)[0].Due
	each(other, event.Every(time.Hour), "1")
	if e := scheduled(t, s); len(e) != 1 || !e[0].Due.Equal(slow) || e[0].Record.Subject != "1" {
		t.Errorf("scheduled again: %+v, want the new record and the old due time %v", e, slow)
	}
	began := time.Now()
	each(s, event.Every(time.Second), "2")
	due := scheduled(t, s)[0].Due
	if wait := due.Sub(began); wait < 900*time.Millisecond || wait > 3*time.Second {
		t.Errorf("first due after %v, want a second", wait)
	}
	eventually(t, "two runs", func() bool { return g.len() >= 2 })
	if err := other.Cancel(t.Context(), "tick"); err != nil {
		t.Error(err)
	}
	rs := all(t, s)
	for i, r := range rs {
		want := due.Add(time.Duration(i) * time.Second)
		if i < 2 && (!r.Time.Equal(want) || r.ID != "tick@"+want.Format("2006-01-02T15:04:05.000Z") || r.RootID != r.ID || r.Subject != "2") {
			t.Errorf("run %d is %+v, want it at %v", i, r, want)
		}
		if early := time.Until(r.Time); early > 0 {
			t.Errorf("run %d came %v early", i, early)
		}
	}
	eventually(t, "each once", func() bool { return g.len() >= len(rs) })
	quiet()
	if g.len() != len(all(t, s)) || g.len() > 4 {
		t.Errorf("%d runs handled, %d in the history", g.len(), len(all(t, s)))
	}
	wantErr(t, "cancelling again", s.Cancel(t.Context(), "tick"), event.ErrNotFound)
}

func scheduleBadInput(t *testing.T, b *bench) {
	s, ok := b.schedules(t, event.WithMaxBytes(100))
	if !ok {
		return
	}
	good, far := &event.Record{Type: "t"}, time.Now().Add(time.Hour)
	hourly := event.Every(time.Hour)
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"zero time":     {s.PublishAt(t.Context(), time.Time{}, good), event.ErrInvalid},
		"too far":       {s.PublishAt(t.Context(), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), good), event.ErrInvalid},
		"nil record":    {s.PublishAt(t.Context(), far, good, nil), event.ErrInvalid},
		"no type":       {s.PublishAt(t.Context(), far, good, &event.Record{}), event.ErrInvalid},
		"too large":     {s.PublishAt(t.Context(), far, &event.Record{Type: "t", Data: make([]byte, 101)}), event.ErrTooLarge},
		"no recurrence": {s.Schedule(t.Context(), "n", event.Recurrence{}, good), event.ErrInvalid},
		"too often":     {s.Schedule(t.Context(), "n", event.Every(999*time.Millisecond), good), event.ErrInvalid},
		"no cron":       {s.Schedule(t.Context(), "n", event.Cron("* * *", nil), good), event.ErrInvalid},
		"no name":       {s.Schedule(t.Context(), "", hourly, good), event.ErrInvalid},
		"no record":     {s.Schedule(t.Context(), "n", hourly, nil), event.ErrInvalid},
		"with ID":       {s.Schedule(t.Context(), "n", hourly, &event.Record{ID: "1", Type: "t"}), event.ErrInvalid},
		"with time":     {s.Schedule(t.Context(), "n", hourly, &event.Record{Time: far, Type: "t"}), event.ErrInvalid},
		"nothing":       {s.PublishAt(t.Context(), far), nil},
		"just fits":     {s.PublishAt(t.Context(), far, &event.Record{ID: "fits", Type: "t", Data: make([]byte, 100)}), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	if ids := scheduledIDs(t, s); !slices.Equal(ids, []string{"fits"}) {
		t.Errorf("scheduled %v, want only what was right", ids)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "cancelled context", s.PublishAt(ended, far, good), context.Canceled)
	shut(t, s)
	wantErr(t, "PublishAt after Close", s.PublishAt(t.Context(), far, good), event.ErrClosed)
	wantErr(t, "Schedule after Close", s.Schedule(t.Context(), "n", hourly, good), event.ErrClosed)
	wantErr(t, "Cancel after Close", s.Cancel(t.Context(), "fits"), event.ErrClosed)
	for _, err := range s.Scheduled(t.Context()) {
		wantErr(t, "Scheduled after Close", err, event.ErrClosed)
	}
}

// scheduleRestart: what was scheduled is as durable as the stream, with IDs of
// every kind.
func scheduleRestart(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok || !s.Features().Durable && !s.Features().Shared {
		return
	}
	ids := []string{"plain", "日本語 with spaces", strings.Repeat("x", 1000), `quotes " ' and \`}
	slices.Sort(ids)
	at := time.Now().Add(soon)
	for _, id := range ids {
		publishAt(t, s, at, &event.Record{ID: id, Type: "odd type / " + id, Data: []byte{0, 255}})
	}
	if b.Restart != nil {
		b.Restart(t)
	}
	shut(t, s)
	s = b.open(t)
	var g got
	subscribe(t, s, g.handle, event.From(event.Beginning()))
	eventually(t, "all after the restart", func() bool { return g.len() >= len(ids) })
	quiet()
	var came []string
	for _, r := range g.list() {
		came = append(came, r.ID)
	}
	slices.Sort(came)
	if !slices.Equal(came, ids) {
		t.Errorf("published %q, want each once", came)
	}
}
