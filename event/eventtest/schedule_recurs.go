package eventtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func scheduleRecurs(t *testing.T, b *bench) {
	s, ok := b.schedules(t)
	if !ok {
		return
	}
	other := b.another(t, s)
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
	put := time.Now()
	due := scheduled(t, s)[0].Due
	if took := time.Since(put); took >= 900*time.Millisecond {
		t.Logf("the schedule was read %v later: the first run may be over", took)
		due = due.Add(-due.Sub(began).Truncate(time.Second) + time.Second)
	}
	if due.Before(began.Add(900*time.Millisecond)) || due.After(put.Add(3*time.Second)) {
		t.Errorf("first due after %v, want a second", due.Sub(began))
	}
	eventually(t, "two runs", func() bool { return g.len() >= 2 })
	if err := other.Cancel(t.Context(), "tick"); err != nil {
		t.Error(err)
	}
	rs := all(t, s)
	want := due
	for i, r := range rs {
		for i > 0 && want.Before(r.Time) { // what was missed while the machine stood still is not made up for
			want = want.Add(time.Second)
		}
		if !r.Time.Equal(want) || r.ID != "tick@"+want.Format("2006-01-02T15:04:05.000Z") || r.RootID != r.ID || r.Subject != "2" {
			t.Errorf("run %d is %+v, want it at %v", i, r, want)
		}
		want = want.Add(time.Second)
		if early := time.Until(r.Time); early > 0 {
			t.Errorf("run %d came %v early", i, early)
		}
	}
	eventually(t, "each once", func() bool { return g.len() >= len(rs) })
	quiet()
	if g.len() != len(all(t, s)) || g.len() > 3+int(time.Since(began)/time.Second) {
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
