package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/events"
)

func TestRecordsAreEvents(t *testing.T) {
	s, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	l, err := log.New(events.Backend(s, "web-1"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		l.Logger("db.pool").Warn("slow", "i", i, "LEVEL", "mine")
	}
	l.Logger("").Log(t.Context(), log.LevelFatal, "end")
	l.Logger("").Log(t.Context(), 2, "between")
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	types := map[string]int{}
	for r, err := range s.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		types[r.Type]++
		if r.Type != "log.warn" {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal(r.Data, &m); err != nil || m["i"] != float64(n) || r.Subject != "db.pool" || r.Source != "web-1" || r.ContentType != "application/json" || time.Since(r.Time) > time.Minute {
			t.Fatalf("event %d: %+v %s %v", n, r, r.Data, err)
		}
		n++
	}
	if fmt.Sprint(types) != "map[log.fatal:1 log.info3:1 log.warn:300]" {
		t.Errorf("%v", types)
	}
}

// publisher fails as told.
type publisher struct {
	fail func(r []*event.Record) error
	ids  []string
}

func (p *publisher) Publish(_ context.Context, r ...*event.Record) error {
	err := p.fail(r)
	for _, one := range r {
		if err == nil || errors.Is(err, fault.UnknownOutcome) {
			p.ids = append(p.ids, one.ID)
		}
	}
	return err
}

func TestWhatMayBePublishedIsPublishedUnderTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &publisher{fail: func([]*event.Record) error {
			if n++; n <= 2 {
				return fault.Markf(fault.UnknownOutcome, "reply lost")
			}
			return nil
		}}
		l, _ := log.New(events.Backend(p, "x"), log.WithErrors(func(string, error) {}))
		for range 10 {
			l.Logger("").Info("x")
		}
		time.Sleep(time.Minute)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		distinct := map[string]bool{}
		for _, id := range p.ids {
			distinct[id] = true
		}
		if len(p.ids) != 30 || len(distinct) != 10 {
			t.Errorf("%d published under %d ids, want 30 under 10", len(p.ids), len(distinct))
		}
	})
}

func TestARecordThatTheStreamRefusesIsDroppedAlone(t *testing.T) {
	p := &publisher{fail: func(r []*event.Record) error {
		for _, one := range r {
			if len(one.Data) > 1000 {
				return fmt.Errorf("%w: the record", event.ErrTooLarge)
			}
		}
		return nil
	}}
	l, _ := log.New(events.Backend(p, "x"), log.WithErrors(func(string, error) {}))
	for i := range 10 {
		if i == 5 {
			l.Logger("").Info("x", "large", make([]byte, 2000))
		}
		l.Logger("").Info("x")
	}
	err := l.Close(t.Context())
	if s := l.Stats()[0]; len(p.ids) != 11 || s.Dropped != 1 || !errors.Is(err, log.ErrDropped) {
		t.Errorf("%d published, want 10 and the note of the drop; %+v, %v", len(p.ids), s, err)
	}
}

// What the stream refuses is said, with its id given to no other record; what it can't
// take now is tried again under the id that it had.
func TestWhatTheStreamSays(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		alone   bool // the bad record is the only one of its batch
		dropped uint64
		calls   int // of the bad record
	}{
		"too large":               {event.ErrTooLarge, false, 1, 2},
		"too large, alone":        {event.ErrTooLarge, true, 1, 1},
		"invalid":                 {event.ErrInvalid, false, 1, 2},
		"invalid, alone":          {event.ErrInvalid, true, 1, 1},
		"unavailable twice":       {event.ErrUnavailable, false, 0, 3},
		"unavailable twice alone": {event.ErrUnavailable, true, 0, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls, tried := 0, map[string]bool{}
			p := &publisher{fail: func(r []*event.Record) error {
				for _, one := range r {
					if one.Source == "" || one.ID == "" {
						t.Errorf("%s: a record of %q with the id %q", name, one.Source, one.ID)
					}
					if strings.Contains(string(one.Data), "bad") {
						tried[one.ID] = true
						if calls++; c.dropped > 0 || calls <= 2 {
							return fmt.Errorf("%w: the record", c.err)
						}
					}
				}
				return nil
			}}
			l, err := log.New(events.Backend(p, ""), log.WithErrors(func(string, error) {}))
			if err != nil {
				t.Fatal(err)
			}
			lg := l.Logger("")
			if !c.alone {
				lg.Info("first")
			}
			lg.Info("bad")
			if !c.alone {
				lg.Info("last")
			}
			time.Sleep(time.Hour)
			lg.Info("later")
			_ = l.Close(t.Context())
			s := l.Stats()[0]
			if s.Dropped != c.dropped || !strings.Contains(s.LastError, "the record") || calls != c.calls || len(tried) != 1 {
				t.Errorf("%s: tried %d times under %d ids, %+v", name, calls, len(tried), s)
			}
			seen := map[string]bool{}
			for _, id := range p.ids {
				if seen[id] || tried[id] && c.dropped > 0 {
					t.Errorf("%s: published under %s again", name, id)
				}
				seen[id] = true
			}
		})
	}
}

func TestBackendRefusesNil(t *testing.T) {
	var none *publisher
	for name, p := range map[string]events.Publisher{"nil": nil, "a nil pointer": none} {
		if _, err := log.New(events.Backend(p, "")); !errors.Is(err, log.ErrInvalid) || !strings.Contains(err.Error(), "nil stream") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ExampleBackend() {
	stream, _ := event.New()
	ctx := context.Background()
	defer stream.Close(ctx)
	l, err := log.New(events.Backend(stream, "web-1"))
	if err != nil {
		panic(err)
	}
	l.Logger("orders").Error("card refused")
	if err := l.Close(ctx); err != nil {
		panic(err)
	}
	for r := range stream.Query(ctx) {
		fmt.Println(r.Type, r.Source, r.Subject)
	}
	// Output: log.error web-1 orders
}
