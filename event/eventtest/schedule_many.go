package eventtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

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
