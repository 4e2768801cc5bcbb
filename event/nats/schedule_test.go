package nats_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/event/internal/scheduletest"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// raw opens a stream, and what is below it.
func raw(t *testing.T) (ns string, s event.Stream, js jetstream.JetStream) {
	t.Helper()
	server := servertest.SharedNATS(t)
	ns = servertest.Namespace(t)
	s, err := event.New(patient(nats.Backend(server.Addr()), event.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	nc, err := gonats.Connect(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err = jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return ns, s, js
}

// store sends a message, and returns its number.
func store(t *testing.T, js jetstream.JetStream, m *gonats.Msg, opts ...jetstream.PublishOpt) uint64 {
	t.Helper()
	ack, err := js.PublishMsg(t.Context(), m, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func message(subject string, data []byte, headers ...string) *gonats.Msg {
	m := gonats.NewMsg(subject)
	m.Data = data
	for i := 0; i+1 < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	return m
}

// entry is the data of an entry.
func entry(id, recurrence string, record []byte) []byte {
	b := append([]byte{byte(len(id))}, id...)
	return append(append(append(b, byte(len(recurrence))), recurrence...), record...)
}

func ms(t time.Time) string { return fmt.Sprint(t.UnixMilli()) }

// fences returns the number of the fence, and of the last message of the records' stream.
func fences(t *testing.T, js jetstream.JetStream, ns string) (fence, last uint64) {
	t.Helper()
	events, err := js.Stream(t.Context(), "events-"+nats.Escape(ns))
	if err != nil {
		t.Fatal(err)
	}
	m, err := events.GetLastMsgForSubject(t.Context(), "events."+nats.Escape(ns)+".%later")
	if err != nil {
		t.Fatal(err)
	}
	return m.Sequence, events.CachedInfo().State.LastSeq
}

func TestAnEntryThatIsNoRecordHoldsUpNoOthers(t *testing.T) {
	leak.Check(t)
	ns, s, js := raw(t)
	if err := s.PublishAt(t.Context(), time.Now().Add(time.Hour), &event.Record{ID: "odd", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	subject := "later-events." + nats.Escape(ns) + "." + nats.KeyOf("odd")
	store(t, js, message(subject, entry("odd", "", []byte("\xffno record")), "Due", ms(time.Now().Add(-time.Hour))))
	scheduletest.Odd(t, s)
}

// A process has died after it claimed an entry, before it published the record or after.
func TestAClaimOfAProcessThatDiedIsSettled(t *testing.T) {
	for name, c := range map[string]struct {
		published bool // the record, before the process died
		fenced    bool // somebody has raised the fence since
		between   int  // other records of the type
		act       func(s event.Stream) error
		want      int // how often the record is there in the end
	}{
		"not published":                       {want: 1},
		"published":                           {published: true, want: 1},
		"published among others":              {published: true, between: 50, want: 1},
		"not published, others were":          {between: 50, want: 1},
		"not published, behind a fence":       {fenced: true, want: 1},
		"published, before a fence":           {published: true, fenced: true, want: 1},
		"cancelled, not published":            {act: func(s event.Stream) error { return s.Cancel(t.Context(), "1") }, want: 0},
		"cancelled, not published and fenced": {fenced: true, act: func(s event.Stream) error { return s.Cancel(t.Context(), "1") }, want: 0},
		"cancelled, but published": {published: true, act: func(s event.Stream) error {
			if err := s.Cancel(t.Context(), "1"); !errors.Is(err, event.ErrNotFound) {
				return fmt.Errorf("Cancel of what was published: %v, want ErrNotFound", err)
			}
			return nil
		}, want: 1},
		"replaced, but published": {published: true, act: func(s event.Stream) error {
			return s.PublishAt(t.Context(), time.Now(), &event.Record{ID: "1", Type: "t", Subject: "1"})
		}, want: 2},
		"replaced, not published": {act: func(s event.Stream) error {
			return s.PublishAt(t.Context(), time.Now(), &event.Record{ID: "1", Type: "t", Subject: "1"})
		}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns, s, js := raw(t)
			records := "events." + nats.Escape(ns) + "."
			if err := s.PublishAt(t.Context(), time.Now(), &event.Record{ID: "0", Type: "t"}); err != nil { // makes the fence
				t.Fatal(err)
			}
			until(t, "published", func() bool { return count(t, s, event.ID("0")) == 1 })
			fence, last := fences(t, js, ns)
			record := eventdriver.AppendRecord(nil, &event.Record{ID: "1", Type: "t", Subject: "1", Time: time.Now()})
			for i := range c.between {
				if err := s.Publish(t.Context(), &event.Record{ID: fmt.Sprint("other", i), Type: "t"}); err != nil {
					t.Fatal(err)
				}
			}
			condition := jetstream.WithExpectLastSequenceForSubject(fence, records+"%later")
			if c.published {
				store(t, js, message(records+"t", record, "Nats-Msg-Id", "word"), condition)
			}
			if c.fenced {
				store(t, js, message(records+"%later", nil))
			}
			due := ms(time.Now().Add(-time.Minute))
			store(t, js, message("later-events."+nats.Escape(ns)+"."+nats.KeyOf("1"), entry("1", "", record), "Due", due, "Claim", fmt.Sprintf("word %d %d 0", fence, last)))
			if c.act != nil {
				if err := c.act(s); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "nothing is scheduled", func() bool {
				for _, err := range s.Scheduled(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					return false
				}
				return true
			})
			if !c.published {
				_, err := js.PublishMsg(t.Context(), message(records+"t", record, "Nats-Msg-Id", "word"), condition) // the process was only frozen
				if err == nil {
					t.Error("a process that lost its claim could publish")
				}
			}
			if n := count(t, s, event.Subject("1")); n != c.want {
				t.Errorf("the record is there %d times, want %d", n, c.want)
			}
		})
	}
}

// Each claim used to wait three seconds for records that nobody publishes.
func TestManyClaimsOfAProcessThatDiedAreSettledSoon(t *testing.T) {
	leak.Check(t)
	const claims = 50
	ns, s, js := raw(t)
	records := "events." + nats.Escape(ns) + "."
	if err := s.PublishAt(t.Context(), time.Now(), &event.Record{ID: "0", Type: "t"}); err != nil { // makes the fence
		t.Fatal(err)
	}
	until(t, "published", func() bool { return count(t, s) == 1 })
	fence, _ := fences(t, js, ns)
	store(t, js, message(records+"%later", nil))
	for i := range claims {
		id := fmt.Sprint("claimed ", i)
		record := eventdriver.AppendRecord(nil, &event.Record{ID: id, Type: "t", Time: time.Now()})
		store(t, js, message("later-events."+nats.Escape(ns)+"."+nats.KeyOf(id), entry(id, "", record), "Due", ms(time.Now()), "Claim", fmt.Sprintf("word%d %d %d 0", i, fence, fence)))
	}
	if err := s.PublishAt(t.Context(), time.Now(), &event.Record{Type: "t"}); err != nil { // so that it looks at once
		t.Fatal(err)
	}
	until(t, "all are published", func() bool { return count(t, s) == 2+claims })
}

// A run of a recurring entry that was published is not published again.
func TestAClaimOfARecurringEntryGoesOnWithTheNextRun(t *testing.T) {
	leak.Check(t)
	ns, s, js := raw(t)
	records := "events." + nats.Escape(ns) + "."
	if err := s.PublishAt(t.Context(), time.Now(), &event.Record{ID: "0", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	until(t, "published", func() bool { return count(t, s) == 1 })
	fence, _ := fences(t, js, ns)
	now := time.Now().UTC().Truncate(time.Millisecond)
	next := now.Add(time.Hour)
	record := eventdriver.AppendRecord(nil, &event.Record{Type: "t", Time: now})
	store(t, js, message(records+"t", eventdriver.AppendRecord(nil, &event.Record{ID: "run", Type: "t", Time: now}), "Nats-Msg-Id", "word"))
	store(t, js, message(records+"%later", nil)) // nobody waits for the process
	store(t, js, message("later-events."+nats.Escape(ns)+"."+nats.KeyOf("tick"), entry("tick", "every 1h0m0s", record), "Due", ms(now), "Claim", fmt.Sprintf("word %d %d %s", fence, fence, ms(next))))
	if err := s.PublishAt(t.Context(), now.Add(2*time.Hour), &event.Record{Type: "t"}); err != nil { // so that it looks at once
		t.Fatal(err)
	}
	until(t, "the next run is scheduled", func() bool {
		for e, err := range s.Scheduled(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			return e.ID == "tick" && e.Due.Equal(next)
		}
		return false
	})
	if n := count(t, s); n != 2 {
		t.Errorf("%d records, want the two that were published", n)
	}
}

// The fence is no record: nobody is handed it, and it is in no query.
func TestOnlyRecordsAreHandedOut(t *testing.T) {
	leak.Check(t)
	_, s, _ := raw(t)
	got := make(chan string, 100)
	for name, opts := range map[string][]event.SubscribeOption{
		"all": {event.Group("all")}, "star": {event.Group("star"), event.Types("*", "dead.*")}, "ordered": {event.Group("ordered"), event.Ordered(event.BySubject)}, "alone": nil,
	} {
		if err := subscribe(t, s, func(r *event.Record) error { got <- name + " " + r.ID; return nil }, opts...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PublishAt(t.Context(), time.Now(), &event.Record{ID: "1", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	until(t, "handed to all", func() bool { return len(got) >= 4 })
	if err := s.Publish(t.Context(), &event.Record{ID: "2", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	until(t, "handed to all", func() bool { return len(got) >= 8 })
	until(t, "acknowledged", func() bool {
		groups, err := s.Groups(t.Context())
		if err != nil || len(groups) != 3 {
			t.Fatal(groups, err)
		}
		for _, g := range groups {
			if g.Lag != (event.Lag{}) {
				return false
			}
		}
		return true
	})
	for range 8 {
		if id := <-got; id[len(id)-1] != '1' && id[len(id)-1] != '2' {
			t.Errorf("handed out: %q", id)
		}
	}
	if n := count(t, s, event.Types("**", "dead.**")); n != 2 {
		t.Errorf("%d records in the history, want 2", n)
	}
}

// What a cancelled entry leaves behind is purged, and what a long schedule costs a process
// is a few bytes for each entry.
func TestTheScheduleKeepsNothingThatIsOver(t *testing.T) {
	leak.Check(t)
	ns, s, js := raw(t)
	far := time.Now().Add(time.Hour)
	for range 3 {
		var rs []*event.Record
		for i := range 500 {
			rs = append(rs, &event.Record{ID: fmt.Sprint(i), Type: "t"})
		}
		if err := s.PublishAt(t.Context(), far, rs...); err != nil {
			t.Fatal(err)
		}
	}
	listed := map[string]bool{}
	for e, err := range s.Scheduled(t.Context()) { // several pages, and all are due at once
		if err != nil || listed[e.ID] {
			t.Fatalf("%q is listed again, or %v", e.ID, err)
		}
		listed[e.ID] = true
	}
	if len(listed) != 500 {
		t.Errorf("%d entries are listed, want 500", len(listed))
	}
	for i := range 499 {
		if err := s.Cancel(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	later, err := js.Stream(t.Context(), "later-events-"+nats.Escape(ns))
	if err != nil {
		t.Fatal(err)
	}
	if n := later.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages are left, want the one of the last entry", n)
	}
	n := 0
	for e, err := range s.Scheduled(t.Context()) {
		if err != nil || e.ID != "499" {
			t.Fatal(e, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d entries are listed, want 1", n)
	}
}

func TestOldServersAreKnownByTheirVersion(t *testing.T) {
	for version, want := range map[string]bool{"2.10.29": false, "2.11.0": true, "2.11.0-RC.1": true, "2.12": true, "3.0.0": true, "1.99.0": false, "": false, "2": false, "x.11": false, "2.x": false} {
		if nats.AtLeast(version, 2, 11) != want {
			t.Errorf("%q: want %v", version, want)
		}
	}
}
