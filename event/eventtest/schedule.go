package eventtest

import (
	"context"
	"fmt"
	"slices"
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
	other := b.another(t, s)
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
	other := b.another(t, s)
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
	publishAt(t, s, time.Now().Add(soon), &event.Record{ID: "replaced", Type: "t", Subject: "new"})
	if err := s.Cancel(t.Context(), "cancelled"); err != nil {
		t.Errorf("cancelling: %v", err)
	}
	wantErr(t, "cancelling again", s.Cancel(t.Context(), "cancelled"), event.ErrNotFound)
	want := []string{"new"}
	for wait, cancelled := soon, false; !cancelled; wait *= 3 { // what is due soon, as soon as the machine leaves the time to cancel it
		due, id := time.Now().Add(wait), fmt.Sprint("soon", len(want))
		publishAt(t, s, due, &event.Record{ID: id, Type: "t", Subject: id})
		err := s.Cancel(t.Context(), id)
		cancelled = err == nil
		if !cancelled {
			wantErr(t, "cancelling what was published meanwhile", err, event.ErrNotFound)
			if time.Now().Before(due) {
				t.Fatalf("cancelling %s before it was due: %v", id, err)
			}
			want = append(want, id)
		}
	}
	wantErr(t, "cancelling what never was", s.Cancel(t.Context(), "never"), event.ErrNotFound)
	wantErr(t, "an empty ID", s.Cancel(t.Context(), ""), event.ErrInvalid)
	eventually(t, "the replaced one", func() bool { return g.len() >= len(want) })
	quiet()
	got := g.subjects()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
	wantErr(t, "cancelling what was published", s.Cancel(t.Context(), "replaced"), event.ErrNotFound)
	if list := scheduled(t, s); len(list) != 0 {
		t.Errorf("left: %+v", list)
	}
}
