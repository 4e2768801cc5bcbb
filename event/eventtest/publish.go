package eventtest

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func publishLeavesTheRecordAlone(t *testing.T, b *bench) {
	s := b.open(t, event.WithSource("shop"))
	r := &event.Record{Type: "a.b", Metadata: map[string]string{"k": "v"}, Data: []byte("x")}
	want := *r.Clone()
	var wg sync.WaitGroup
	for range 4 { // also from many goroutines at once: it is only read
		wg.Go(func() {
			for range 20 {
				if err := s.Publish(context.Background(), r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if !reflect.DeepEqual(*r, want) {
		t.Errorf("Publish changed the record to %+v", *r)
	}
	r.Data[0], r.Metadata["k"] = 'y', "changed" // the caller may reuse it
	rs := all(t, s)
	if len(rs) != 80 {
		t.Fatalf("%d records stored, want 80", len(rs))
	}
	ids := map[string]bool{}
	for _, r := range rs {
		if ids[r.ID] || r.ID == "" || r.RootID != r.ID || r.ParentID != "" || r.Source != "shop" || r.Position == "" {
			t.Fatalf("stored %+v", r)
		}
		ids[r.ID] = true
		if string(r.Data) != "x" || r.Metadata["k"] != "v" {
			t.Fatalf("stored what the caller changed later: %q %v", r.Data, r.Metadata)
		}
		if d := time.Since(r.Time); d < -time.Minute || d > time.Minute {
			t.Fatalf("Time is %v away", d)
		}
	}
}

func roundTrip(t *testing.T, b *bench) {
	s := b.open(t)
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	records := []*event.Record{
		{ID: "1", Type: "t", RootID: "1", Time: time.Unix(0, 0).UTC()},
		{ID: "2", Type: "a.b-c_d.E:f/g", Source: "https://example.com/ü?a=b&c=%25", RootID: "root", ParentID: "parent", Subject: "日本 語's \"q\" \\ % _",
			Time: time.Unix(1234567890, 123456789).UTC(), ContentType: "application/json; charset=utf-8", Data: []byte(`{"a":"\u0000"}`),
			Metadata: map[string]string{"a": "", "b": "line\nbreak\x00nul", "ключ": "знач", "c": strings.Repeat("x", 5000)}},
		{ID: "3", Type: "t", RootID: "3", Time: time.Unix(0, math.MaxInt64/2).UTC(), Data: binary},
		{ID: "4", Type: "t", RootID: "4", Time: time.Unix(-1e9, 1).UTC(), Data: []byte{0}},
		{ID: "5", Type: "t", RootID: "5", Time: time.Unix(1, 0).UTC(), Data: slices.Repeat([]byte{0xff, 0, 'a'}, 100_000)},
	}
	g := &got{}
	subscribe(t, s, g.handle)
	gg := &got{}
	subscribe(t, s, gg.handle, event.Group("g"))
	publish(t, s, records...)
	eventually(t, "all delivered", func() bool { return g.len() == len(records) && gg.len() == len(records) })
	for name, rs := range map[string][]*event.Record{"delivered": g.list(), "delivered to the group": gg.list(), "queried": all(t, s)} {
		if len(rs) != len(records) {
			t.Errorf("%s %d records, want %d", name, len(rs), len(records))
			continue
		}
		for i, r := range rs {
			c, want := *r.Clone(), *records[i]
			if c.Position == "" {
				t.Errorf("%s record %s has no position", name, c.ID)
			}
			c.Position = ""
			if len(c.Data) == 0 && len(want.Data) == 0 {
				c.Data, want.Data = nil, nil
			}
			if len(c.Metadata) == 0 && len(want.Metadata) == 0 {
				c.Metadata, want.Metadata = nil, nil
			}
			if !reflect.DeepEqual(c, want) {
				t.Errorf("%s\n got %.300q\nwant %.300q", name, c, want)
			}
		}
	}
	r := g.list()[0]
	r.Type = "changed" // a handler's record is its own
	if all(t, s)[0].Type != "t" {
		t.Error("a handler's change reached the stream")
	}
}

// oddNames publishes what CloudEvents allows in names, and groups with names of
// all kinds.
func oddNames(t *testing.T, b *bench) {
	s := b.open(t)
	long := func(n int) string { return strings.Repeat("0123456789", n/10+1)[:n] }
	records := []*event.Record{
		{Type: "with a space"}, {Type: "a.*"}, {Type: "*"}, {Type: "a.>"}, {Type: "a..b"}, {Type: ".a."}, {Type: "."}, {Type: "100% 日本.x"}, {Type: "%2A"},
		{Type: "t." + long(1000)}, {Type: "id", ID: long(256)}, {Type: "id", ID: long(60_000), RootID: long(60_000) + "r"},
		{Type: "source", ID: "same", Source: "/one"}, {Type: "source", ID: "same", Source: "/two"}, // two events, says CloudEvents
		{Type: "subject", Subject: long(60_000), Source: long(3000), ContentType: "text/plain; x=" + long(1000)},
	}
	for i, r := range records {
		if r.ID == "" {
			r.ID = "odd " + string(rune('a'+i))
		}
	}
	want := make([]string, len(records))
	for i, r := range records {
		want[i] = r.Type + r.ID + r.Source + r.Subject + r.ContentType
	}
	keys := func(rs []*event.Record) []string {
		var list []string
		for _, r := range rs {
			list = append(list, r.Type+r.ID+r.Source+r.Subject+r.ContentType)
		}
		return list
	}
	gots := map[string]*got{}
	for _, name := range []string{"a.b", "dots.and spaces", "*", "g>", "日本", "-", long(255)} {
		gots[name] = &got{}
		subscribe(t, s, gots[name].handle, event.Group(name), event.Consumer(name))
	}
	publish(t, s, records...)
	for name, g := range gots {
		eventually(t, "group "+name, func() bool { return g.len() == len(records) })
		if !slices.Equal(keys(g.list()), want) {
			t.Errorf("group %.20s was handed something else than was published", name)
		}
	}
	if !slices.Equal(keys(all(t, s)), want) {
		t.Error("queried something else than was published")
	}
	for _, r := range records {
		if found := all(t, s, event.ID(r.ID)); len(found) != 1 || found[0].ID != r.ID {
			t.Errorf("by id %.20q: %d records, want one", r.ID, len(found))
		}
	}
	if found := all(t, s, event.Root(long(60_000)+"r")); len(found) != 1 {
		t.Errorf("by a long root: %d records, want 1", len(found))
	}
	for pattern, n := range map[string]int{"with a space": 1, "a..b": 1, ".a.": 1, "a.*": 2, "t.*": 1} {
		if found := all(t, s, event.Types(pattern)); len(found) != n {
			t.Errorf("pattern %q finds %d records, want %d", pattern, len(found), n)
		}
	}
	infos, err := s.Groups(t.Context())
	if err != nil || len(infos) != len(gots) {
		t.Errorf("Groups lists %d, %v, want %d", len(infos), err, len(gots))
	}
	for name := range gots {
		if err := s.DeleteGroup(t.Context(), name); err != nil {
			t.Errorf("DeleteGroup %.20q: %v", name, err)
		}
	}
}

func badInput(t *testing.T, b *bench) {
	s := b.open(t)
	ok := func() *event.Record { return &event.Record{Type: "t"} }
	with := func(f func(r *event.Record)) *event.Record { r := ok(); f(r); return r }
	for name, r := range map[string]*event.Record{
		"nil": nil, "no type": {}, "control": {Type: "a\nb"}, "not UTF-8": {Type: "a\xff"},
		"subject": with(func(r *event.Record) { r.Subject = "a\x00" }),
		"id":      with(func(r *event.Record) { r.ID = "\xff" }),
		"key":     with(func(r *event.Record) { r.Metadata = map[string]string{"": "x"} }),
		"value":   with(func(r *event.Record) { r.Metadata = map[string]string{"x": "\xff"} }),
		"time":    with(func(r *event.Record) { r.Time = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC) }),
	} {
		wantErr(t, "Publish "+name, s.Publish(t.Context(), ok(), r), event.ErrInvalid)
	}
	for name, opts := range map[string][]event.SubscribeOption{
		"nil option": {nil}, "pattern": {event.Types("a*")}, "pattern inside": {event.Types("a.**.b")}, "empty pattern": {event.Types("")},
		"group": {event.Group("a\nb")}, "long group": {event.Group(strings.Repeat("g", 256))}, "long consumer": {event.Group("g"), event.Consumer(strings.Repeat("c", 256))}, "empty group": {event.Group("")}, "consumer": {event.Consumer("c")}, "concurrency": {event.Concurrency(0)},
		"batch": {event.Batch(-1)}, "attempts": {event.MaxAttempts(-1)}, "backoff": {event.Backoff(2, 1)}, "dead": {event.DeadLetter("x")},
		"key": {event.Ordered(nil)}, "ack wait": {event.AckWait(0)}, "from": {event.From(event.After(""))}, "position": {event.From(event.After("not a position!"))},
		"time": {event.From(event.At(time.Time{}))},
	} {
		sub, err := s.Subscribe(t.Context(), ignore, opts...)
		wantErr(t, "Subscribe "+name, err, event.ErrInvalid)
		if err == nil {
			closeSub(t, sub)
		}
	}
	_, err := s.Subscribe(t.Context(), nil)
	wantErr(t, "Subscribe nil handler", err, event.ErrInvalid)
	_, err = s.Subscribe(t.Context(), ignore, event.From(event.AfterID("none")))
	wantErr(t, "Subscribe after an unknown id", err, event.ErrNotFound)
	for name, opts := range map[string][]event.QueryOption{
		"nil option": {nil}, "limit": {event.Limit(0)}, "id": {event.ID("")}, "position": {event.From(event.After("not a position!"))},
		"span": {event.Since(time.Unix(2, 0)), event.Until(time.Unix(1, 0))},
	} {
		n := 0
		for _, err := range s.Query(t.Context(), opts...) {
			wantErr(t, "Query "+name, err, event.ErrInvalid)
			n++
		}
		if n != 1 {
			t.Errorf("Query %s yielded %d times, want one error", name, n)
		}
	}
	_, err = s.Aggregate(t.Context(), event.Aggregation{Per: []event.Dimension{"x"}})
	wantErr(t, "Aggregate", err, event.ErrInvalid)
	if rs := all(t, s); len(rs) != 0 {
		t.Errorf("bad input stored %d records", len(rs))
	}
	if err := s.Publish(t.Context()); err != nil {
		t.Errorf("Publish of nothing: %v", err)
	}
}

func tooLarge(t *testing.T, b *bench) {
	s := b.open(t, event.WithMaxBytes(1000))
	publish(t, s, &event.Record{Type: "t", Data: make([]byte, 1000)})
	wantErr(t, "data", s.Publish(t.Context(), &event.Record{Type: "t", Data: make([]byte, 1001)}), event.ErrTooLarge)
	wantErr(t, "metadata", s.Publish(t.Context(), &event.Record{Type: "t", Metadata: map[string]string{"k": strings.Repeat("x", 1<<16)}}), event.ErrTooLarge)
	wantErr(t, "type", s.Publish(t.Context(), &event.Record{Type: strings.Repeat("x", 1<<16)}), event.ErrTooLarge)
	if n := len(all(t, s)); n != 1 {
		t.Errorf("%d records stored, want 1", n)
	}
}

func causes(t *testing.T, b *bench) {
	s := b.open(t)
	done := make(chan struct{})
	subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		return s.Publish(ctx, &event.Record{Type: "b", Subject: "of " + r.ID})
	}, event.Types("a"), event.Group("first"))
	subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		defer close(done)
		d, ok := event.DeliveryFromContext(ctx)
		if !ok || d.Group != "second" || d.Attempt != 1 || d.Position != r.Position {
			t.Errorf("delivery %+v, %v", d, ok)
		}
		return s.Publish(ctx, &event.Record{Type: "c"})
	}, event.Types("b"), event.Group("second"))
	publish(t, s, &event.Record{ID: "one", Type: "a"})
	<-done
	eventually(t, "three records", func() bool { return len(all(t, s)) == 3 })
	rs := all(t, s, event.Root("one"))
	if len(rs) != 3 {
		t.Fatalf("the story has %d records, want 3", len(rs))
	}
	if rs[1].ParentID != "one" || rs[2].ParentID != rs[1].ID {
		t.Errorf("parents %q and %q, want one and %q", rs[1].ParentID, rs[2].ParentID, rs[1].ID)
	}
	ctx := event.ContextWithCause(t.Context(), event.Cause{RootID: "r", ParentID: "p"})
	if err := s.Publish(ctx, &event.Record{ID: "x", Type: "d"}, &event.Record{ID: "y", Type: "d", RootID: "own", ParentID: "own"}); err != nil {
		t.Fatal(err)
	}
	rs = all(t, s, event.Types("d"))
	if rs[0].RootID != "r" || rs[0].ParentID != "p" || rs[1].RootID != "own" || rs[1].ParentID != "own" {
		t.Errorf("causes of the context: %+v, %+v", rs[0], rs[1])
	}
}

func propagation(t *testing.T, b *bench) {
	type key struct{}
	s := b.open(t, event.WithPropagation(
		func(ctx context.Context, md map[string]string) { md["traceparent"], _ = ctx.Value(key{}).(string) },
		func(ctx context.Context, md map[string]string) context.Context {
			return context.WithValue(ctx, key{}, md["traceparent"])
		}))
	seen := make(chan string, 1)
	subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		cause, _ := event.CauseFromContext(ctx)
		seen <- ctx.Value(key{}).(string) + " " + cause.RootID
		return nil
	})
	if err := s.Publish(context.WithValue(t.Context(), key{}, "00-abc"), &event.Record{ID: "1", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "00-abc 1" {
		t.Errorf("handler's context has %q, want the trace and the root", got)
	}
}
