package nats_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// A look-up used to be sent the whole stream, each time.
func TestLookUpsReadTheStreamOnce(t *testing.T) {
	leak.Check(t)
	nc, s := counted(t)
	publishMany(t, s, 3000)
	find := func(want int, opts ...event.QueryOption) (received uint64) {
		t.Helper()
		before := nc.Stats().InMsgs
		if n := count(t, s, opts...); n != want {
			t.Errorf("%d records, want %d", n, want)
		}
		return nc.Stats().InMsgs - before
	}
	if n := find(1, event.ID("7")); n < 3000 {
		t.Errorf("the first look-up was sent %d messages, want the stream", n)
	}
	for name, c := range map[string]struct {
		want int
		opts []event.QueryOption
	}{
		"an ID":         {1, []event.QueryOption{event.ID("2999")}},
		"no ID":         {0, []event.QueryOption{event.ID("none")}},
		"a root":        {3, []event.QueryOption{event.Root("root 5")}},
		"from the end":  {3, []event.QueryOption{event.Root("root 5"), event.Reverse()}},
		"of some types": {3, []event.QueryOption{event.Root("root 5"), event.Types("t", "u")}},
	} {
		if n := find(c.want, c.opts...); n > 20 {
			t.Errorf("%s: sent %d messages, want only what is new and what is found", name, n)
		}
	}
	for _, id := range []string{"a", "b"} {
		if err := s.Publish(t.Context(), &event.Record{ID: id, RootID: "new", Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := find(2, event.Root("new")); n > 20 {
		t.Errorf("after two more: sent %d messages", n)
	}
}

// A request for each record of a root that most records have took longer than a scan.
func TestALookUpOfWhatMostRecordsHaveIsAScan(t *testing.T) {
	leak.Check(t)
	const records = 600
	nc, s := counted(t)
	var rs []*event.Record
	for i := range records {
		rs = append(rs, &event.Record{ID: fmt.Sprint(i), RootID: "all", Type: "t"}, &event.Record{Type: "u"})
	}
	if err := s.Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string][]event.QueryOption{
		"forward": nil, "backward": {event.Reverse()}, "of a type": {event.Types("t")}, "of a type, backward": {event.Types("t"), event.Reverse()},
	} {
		before := nc.Stats().OutMsgs
		if n := count(t, s, append(opts, event.Root("all"))...); n != records {
			t.Errorf("%s: %d records, want %d", name, n, records)
		}
		if sent := nc.Stats().OutMsgs - before; sent > records/3 {
			t.Errorf("%s: %d requests for %d records", name, sent, records)
		}
	}
}

// publishMany publishes records with stories of three each.
func publishMany(t *testing.T, s event.Stream, n int) {
	t.Helper()
	var rs []*event.Record
	for i := range n {
		r := &event.Record{ID: fmt.Sprint(i), RootID: fmt.Sprint("root ", i%(n/3)), Type: "t", Subject: fmt.Sprint(i)}
		rs = append(rs, r)
	}
	for part := range slices.Chunk(rs, 500) {
		if err := s.Publish(t.Context(), part...); err != nil {
			t.Fatal(err)
		}
	}
}

// Where look-ups know only a part of the stream they find what a scan finds.
func TestLookUpsFindWhatIsBeyondTheirMemory(t *testing.T) {
	leak.Check(t)
	const n = 1200
	server, ns := servertest.SharedNATS(t), servertest.Namespace(t)
	open := func(opts ...nats.Option) event.Stream {
		t.Helper()
		s, err := event.New(patient(nats.Backend(server.Addr(), opts...), event.WithNamespace(ns))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(t.Context()) })
		return s
	}
	publishMany(t, open(), n)
	var positions []string
	for r, err := range open().Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, r.Position)
	}
	subjects := func(s event.Stream, opts ...event.QueryOption) (list []string) {
		t.Helper()
		for r, err := range s.Query(t.Context(), opts...) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, r.Subject)
		}
		return list
	}
	for _, c := range []struct {
		records uint64
		atOnce  int
	}{{1 << 20, 1 << 20}, {1 << 20, 150}, {300, 1 << 20}, {300, 100}, {n, n}, {n - 1, n - 1}, {n + 1, n + 1}} {
		for _, root := range []int{0, 399} {
			s := open(nats.Remember(c.records, c.atOnce))
			want := []string{fmt.Sprint(root), fmt.Sprint(root + 400), fmt.Sprint(root + 800)}
			back := slices.Clone(want)
			slices.Reverse(back)
			id := event.Root(fmt.Sprint("root ", root))
			for name, got := range map[string][2][]string{
				"forward":           {subjects(s, id), want},
				"backward":          {subjects(s, id, event.Reverse()), back},
				"the last two":      {subjects(s, id, event.Reverse(), event.Limit(2)), back[:2]},
				"after the first":   {subjects(s, id, event.From(event.After(positions[root]))), want[1:]},
				"before the last":   {subjects(s, id, event.Reverse(), event.From(event.After(positions[root+800]))), back[1:]},
				"after the last":    {subjects(s, id, event.From(event.After(positions[root+800]))), nil},
				"of another type":   {subjects(s, id, event.Types("u")), nil},
				"by ID":             {subjects(s, event.ID(fmt.Sprint(root))), want[:1]},
				"by ID, backward":   {subjects(s, event.ID(fmt.Sprint(root)), event.Reverse()), want[:1]},
				"published by then": {subjects(s, id, event.Until(time.Unix(0, 0))), nil},
			} {
				if !slices.Equal(got[0], got[1]) {
					t.Errorf("%+v, root %d, %s: %v, want %v", c, root, name, got[0], got[1])
				}
			}
		}
	}
}
