package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func patterns(t *testing.T, b *bench) {
	s := b.open(t)
	types := []string{"agent.up", "agent.down", "agent", "agents.up", "agent.up.slow", "user.up"}
	want := map[string][]string{
		"agent.*": {"agent.up", "agent.down"}, "agent.**": {"agent.up", "agent.down", "agent.up.slow"}, "agent": {"agent"},
		"*.up": {"agent.up", "agents.up", "user.up"}, "**": types, "*": {"agent"}, "*.up.slow": {"agent.up.slow"}, "none": {},
	}
	gots := map[string]*got{}
	for p := range want {
		gots[p] = &got{}
		subscribe(t, s, gots[p].handle, event.Types(p))
		subscribe(t, s, gots[p].handle, event.Types(p), event.Group("g"+fmt.Sprintf("%x", p)))
	}
	for _, typ := range types {
		publish(t, s, &event.Record{Type: typ})
	}
	for p, w := range want {
		eventually(t, p, func() bool { return gots[p].len() >= 2*len(w) })
	}
	quiet()
	typesOf := func(rs []*event.Record) []string {
		ts := []string{}
		for _, r := range rs {
			ts = append(ts, r.Type)
		}
		return ts
	}
	for p, w := range want {
		both := slices.Concat(w, w)
		slices.Sort(both)
		if ts := typesOf(gots[p].list()); !slices.Equal(slices.Sorted(slices.Values(ts)), both) {
			t.Errorf("%s delivered %v, want each of %v twice", p, ts, w)
		}
		if ts := typesOf(all(t, s, event.Types(p))); !slices.Equal(ts, w) {
			t.Errorf("%s queried %v, want %v", p, ts, w)
		}
	}
	if ts := typesOf(all(t, s, event.Types("user.up", "agent"))); !slices.Equal(ts, []string{"agent", "user.up"}) {
		t.Errorf("two patterns: %v", ts)
	}
}

func deadTypesAreApart(t *testing.T, b *bench) {
	s := b.open(t)
	everything, dead := &got{}, &got{}
	subscribe(t, s, everything.handle)
	subscribe(t, s, everything.handle, event.Types("**", "*.x"), event.Group("all"))
	subscribe(t, s, dead.handle, event.Types("dead.*"))
	publish(t, s, &event.Record{Type: "dead.x"}, &event.Record{Type: "x"})
	eventually(t, "delivered", func() bool { return everything.len() == 2 && dead.len() == 1 })
	quiet()
	if everything.len() != 2 {
		t.Errorf("a subscriber of everything was handed %v", everything.list())
	}
}

func fanOut(t *testing.T, b *bench) {
	s := b.open(t)
	gots := make([]got, 3)
	for i := range gots {
		subscribe(t, s, gots[i].handle)
	}
	publishN(t, s, 300)
	for i := range gots {
		eventually(t, "300 records", func() bool { return gots[i].len() == 300 })
		if got := gots[i].subjects(); !slices.Equal(got, numbers(300)) {
			t.Errorf("subscriber %d was handed them out of order: %v", i, got)
		}
	}
}

func nothingMissed(t *testing.T, b *bench) {
	s := b.open(t)
	for i := range 20 {
		g := &got{}
		var opts []event.SubscribeOption
		if i%2 == 1 {
			opts = append(opts, event.Group(fmt.Sprint("g", i)))
		}
		sub := subscribe(t, s, g.handle, opts...)
		publish(t, s, &event.Record{Type: "t", Subject: fmt.Sprint(i)})
		eventually(t, "the record published after Subscribe", func() bool { return g.len() == 1 })
		if got := g.subjects()[0]; got != fmt.Sprint(i) {
			t.Errorf("Now delivered record %s, want %d", got, i)
		}
		closeSub(t, sub)
	}
}

func from(t *testing.T, b *bench) {
	for name, c := range map[string]struct {
		at   func(rs []*event.Record, between time.Time) event.Position
		want []string
	}{
		"beginning": {func([]*event.Record, time.Time) event.Position { return event.Beginning() }, numbers(6)},
		"now":       {func([]*event.Record, time.Time) event.Position { return event.Now() }, numbers(6)[5:]},
		"after":     {func(rs []*event.Record, _ time.Time) event.Position { return event.After(rs[1].Position) }, numbers(6)[2:]},
		"after id":  {func(rs []*event.Record, _ time.Time) event.Position { return event.AfterID(rs[3].ID) }, numbers(6)[4:]},
		"time":      {func(_ []*event.Record, at time.Time) event.Position { return event.At(at) }, numbers(6)[3:]},
		"past":      {func(_ []*event.Record, at time.Time) event.Position { return event.At(at.Add(-time.Hour)) }, numbers(6)},
	} {
		s := b.openIn(t, b.ns+fmt.Sprintf("%x", name))
		publishN(t, s, 3)
		<-time.After(20 * time.Millisecond) // a backend's clock may tick in milliseconds
		between := time.Now()
		<-time.After(20 * time.Millisecond)
		publish(t, s, numbered(3, 2)...)
		at := c.at(all(t, s), between)
		var live, group got
		subscribe(t, s, live.handle, event.From(at))
		subscribe(t, s, group.handle, event.From(at), event.Group("g"))
		publish(t, s, &event.Record{Type: "t", Subject: "5"})
		eventually(t, name, func() bool { return live.len() >= len(c.want) && group.len() >= len(c.want) })
		if !slices.Equal(live.subjects(), c.want) || !slices.Equal(group.subjects(), c.want) {
			t.Errorf("from %s: delivered %v, to the group %v, want %v", name, live.subjects(), group.subjects(), c.want)
		}
	}
}

func groupShares(t *testing.T, b *bench) {
	s := b.open(t)
	var one, two got
	slow := func(g *got) event.Handler {
		return func(ctx context.Context, r *event.Record) error {
			<-time.After(time.Millisecond)
			return g.handle(ctx, r)
		}
	}
	subscribe(t, s, slow(&one), event.Group("g"))
	subscribe(t, s, slow(&two), event.Group("g"))
	n := 0
	eventually(t, "both members work", func() bool {
		publish(t, s, numbered(n, 10)...)
		n += 10
		return n >= 200 && one.len() > 0 && two.len() > 0
	})
	eventually(t, "all handled", func() bool { return one.len()+two.len() >= n })
	quiet()
	seen := map[string]int{}
	for _, r := range slices.Concat(one.list(), two.list()) {
		seen[r.Subject]++
	}
	if len(seen) != n || one.len()+two.len() != n {
		t.Errorf("%d different records in %d calls, want %d once each", len(seen), one.len()+two.len(), n)
	}
}

func groupsAreIndependent(t *testing.T, b *bench) {
	s := b.open(t)
	var one, two got
	subscribe(t, s, one.handle, event.Group("one"))
	subscribe(t, s, two.handle, event.Group("two"))
	publishN(t, s, 50)
	eventually(t, "both have all", func() bool { return one.len() == 50 && two.len() == 50 })
	if !slices.Equal(one.subjects(), numbers(50)) || !slices.Equal(two.subjects(), numbers(50)) {
		t.Errorf("out of order: %v, %v", one.subjects(), two.subjects())
	}
}

func groupResumes(t *testing.T, b *bench) {
	s := b.open(t)
	var g got
	sub := subscribe(t, s, g.handle, event.Group("g"))
	publishN(t, s, 20)
	eventually(t, "20 handled", func() bool { return g.len() == 20 })
	closeSub(t, sub)
	publish(t, s, numbered(20, 2)...)
	if s.Features().Shared || s.Features().Durable { // another process
		shut(t, s)
		s = b.open(t)
	}
	subscribe(t, s, g.handle, event.Group("g"))
	eventually(t, "the rest", func() bool { return g.len() >= 22 })
	quiet()
	if got := g.subjects(); !slices.Equal(got, numbers(22)) {
		t.Errorf("handled %v, want each once", got)
	}
}

func groupStart(t *testing.T, b *bench) {
	s := b.open(t)
	publishN(t, s, 3)
	var g got
	sub := subscribe(t, s, g.handle, event.Group("g"), event.From(event.Beginning()))
	eventually(t, "all from the beginning", func() bool { return g.len() == 3 })
	closeSub(t, sub)
	sub = subscribe(t, s, g.handle, event.Group("g"), event.From(event.Beginning()))
	quiet()
	if g.len() != 3 {
		t.Errorf("an old group began again: %v", g.subjects())
	}
	closeSub(t, sub)
}

func groupTypes(t *testing.T, b *bench) {
	s := b.open(t)
	closeSub(t, subscribe(t, s, ignore, event.Group("g"), event.Types("a.*", "b")))
	closeSub(t, subscribe(t, s, ignore, event.Group("g"), event.Types("b", "a.*")))
	for _, opts := range [][]event.SubscribeOption{{}, {event.Types("a.*")}, {event.Types("a.*", "b", "c")}} {
		_, err := s.Subscribe(t.Context(), ignore, append(opts, event.Group("g"))...)
		wantErr(t, "other types", err, event.ErrConflict)
	}
}

func deleteGroup(t *testing.T, b *bench) {
	s := b.open(t)
	var g got
	closeSub(t, subscribe(t, s, g.handle, event.Group("b"), event.Types("x")))
	closeSub(t, subscribe(t, s, g.handle, event.Group("a")))
	publishN(t, s, 5)
	infos, err := s.Groups(t.Context())
	if err != nil || len(infos) != 2 || infos[0].Name != "a" || infos[1].Name != "b" || !slices.Equal(infos[1].Types, []string{"x"}) {
		t.Fatalf("Groups = %+v, %v, want a and b", infos, err)
	}
	if infos[0].Lag.Behind != 5 && infos[0].Lag.Behind != -1 {
		t.Errorf("lag of a = %+v, want 5 behind", infos[0].Lag)
	}
	if err := s.DeleteGroup(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "deleting it again", s.DeleteGroup(t.Context(), "a"), event.ErrNotFound)
	subscribe(t, s, g.handle, event.Group("a"), event.From(event.Beginning()), event.Types("t"))
	eventually(t, "a new group of the name begins from the start", func() bool { return g.len() == 5 })
}

func retries(t *testing.T, b *bench) {
	for _, opts := range [][]event.SubscribeOption{{}, {event.Group("g")}} {
		s := b.openIn(t, b.ns+fmt.Sprint(len(opts)))
		var mu sync.Mutex
		attempts := map[string][]int{}
		var g got
		sub := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
			d, _ := event.DeliveryFromContext(ctx)
			mu.Lock()
			attempts[r.Subject] = append(attempts[r.Subject], d.Attempt)
			n := len(attempts[r.Subject])
			mu.Unlock()
			if r.Subject == "1" && n < 4 {
				r.Subject = "spoilt" // the next attempt has a clean copy
				return errors.New("not yet")
			}
			return g.handle(ctx, r)
		}, append(opts, event.Backoff(time.Millisecond, 5*time.Millisecond))...)
		publishN(t, s, 3)
		eventually(t, "all handled", func() bool { return sub.Stats().Handled == 3 }) // which counts when the handler has returned
		mu.Lock()
		if !slices.Equal(attempts["1"], []int{1, 2, 3, 4}) || len(attempts["0"]) != 1 || len(attempts["2"]) != 1 {
			t.Errorf("attempts %v, want 4 at record 1 and one at the others", attempts)
		}
		mu.Unlock()
		if st := sub.Stats(); st.Failed != 3 || st.Handled != 3 || st.Fetched != 3 {
			t.Errorf("stats %+v, want 3 failed, 3 handled, 3 fetched", st)
		}
	}
}

func retryAfter(t *testing.T, b *bench) {
	s := b.open(t)
	var first atomic.Bool
	waited := make(chan time.Duration, 1)
	var start time.Time
	subscribe(t, s, func(context.Context, *event.Record) error {
		if first.CompareAndSwap(false, true) {
			start = time.Now()
			return event.Retry(errors.New("later"), 30*time.Millisecond)
		}
		waited <- time.Since(start)
		return nil
	}, event.Group("g"), event.Backoff(time.Hour, time.Hour))
	publishN(t, s, 1)
	if d := <-waited; d < 30*time.Millisecond {
		t.Errorf("tried again after %v, want 30 ms", d)
	}
}

func deadLetters(t *testing.T, b *bench) {
	s := b.open(t)
	var tries atomic.Int64
	var dead, fine got
	sub := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		switch r.Subject {
		case "poison":
			tries.Add(1)
			return errors.New("can't")
		case "hopeless":
			return event.Terminate(errors.New("never"))
		case "panic":
			panic("oh")
		}
		return fine.handle(ctx, r)
	}, event.Group("g"), event.MaxAttempts(3), event.Backoff(time.Millisecond, time.Millisecond))
	subscribe(t, s, dead.handle, event.Types("dead.g"))
	publish(t, s,
		&event.Record{ID: "1", Type: "t", Subject: "poison", RootID: "r", ParentID: "p", Data: []byte("d"), Metadata: map[string]string{"m": "v"}},
		&event.Record{ID: "2", Type: "t", Subject: "hopeless"}, &event.Record{ID: "3", Type: "t", Subject: "panic"},
		&event.Record{ID: "4", Type: "t", Subject: "fine"})
	eventually(t, "three dead letters", func() bool { return dead.len() == 3 && fine.len() == 1 })
	if n := tries.Load(); n != 3 {
		t.Errorf("%d attempts at the poison, want 3", n)
	}
	for _, d := range dead.list() {
		if d.ParentID != d.Metadata[event.DeadID] || d.Metadata[event.DeadType] != "t" || d.Metadata[event.DeadGroup] != "g" || d.Metadata[event.DeadError] == "" {
			t.Errorf("dead letter %+v", d)
		}
		o, ok := event.Original(d)
		if !ok || o.Type != "t" || o.Subject != d.Subject {
			t.Errorf("Original = %+v, %v", o, ok)
		}
		if d.Subject == "poison" {
			if d.Metadata[event.DeadAttempts] != "3" || d.RootID != "r" || o.ID != "1" || o.RootID != "r" || o.ParentID != "p" || string(o.Data) != "d" || len(o.Metadata) != 1 || o.Metadata["m"] != "v" {
				t.Errorf("dead letter %+v, its original %+v", d, o)
			}
		}
	}
	eventually(t, "nothing pending", func() bool {
		l, err := sub.Lag(t.Context())
		return err == nil && l.Pending == 0
	})
	if st := sub.Stats(); st.Dead != 3 || st.Panics != 3 || st.Handled != 1 {
		t.Errorf("stats %+v, want 3 dead, 3 panics, 1 handled", st)
	}
}

func dropped(t *testing.T, b *bench) {
	s := b.open(t)
	sub := subscribe(t, s, func(context.Context, *event.Record) error { return errors.New("can't") },
		event.MaxAttempts(2), event.Backoff(time.Millisecond, time.Millisecond))
	var dead got
	subscribe(t, s, func(context.Context, *event.Record) error { return event.Terminate(errors.New("can't")) }, event.DeadLetter("dead.live"))
	subscribe(t, s, dead.handle, event.Types("dead.**"))
	publishN(t, s, 2)
	eventually(t, "dropped and dead", func() bool { return sub.Stats().Dropped == 2 && dead.len() == 2 })
}
