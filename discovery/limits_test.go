package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// When a process is to ask for a sign of life, by what it follows and what it has heard.
func TestWhenASignOfLifeIsDue(t *testing.T) {
	const s = time.Second
	for ttl, want := range map[time.Duration][2]time.Duration{ // danger, patience
		10 * s: {6 * s, 4500 * time.Millisecond},
		2 * s:  {1200 * time.Millisecond, 700 * time.Millisecond},
		s:      {600 * time.Millisecond, 200 * time.Millisecond},
	} {
		if danger(ttl) != want[0] || patience(ttl) != want[1] {
			t.Errorf("TTL %v: danger after %v, patience %v, want %v", ttl, danger(ttl), patience(ttl), want)
		}
	}
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	c := &contact{woken: make(chan struct{}, 1)}
	woken := func(want bool) {
		t.Helper()
		if got := len(c.woken) == 1; got != want {
			t.Errorf("woken: %v, want %v", got, want)
		}
		select {
		case <-c.woken:
		default:
		}
	}
	if _, ever := c.due(start, start); ever {
		t.Error("nothing is followed, and a sign of life is due")
	}
	c.follow(start, 0)
	woken(false)
	c.follow(start, 20*s)
	woken(true)
	for _, f := range []struct {
		ttl   time.Duration
		woken bool
		is    time.Duration
	}{{20 * s, false, 20 * s}, {30 * s, false, 20 * s}, {10 * s, true, 10 * s}, {0, false, 10 * s}} {
		c.follow(at(s), f.ttl)
		woken(f.woken)
		if c.ttl != f.is {
			t.Errorf("followed with %v: the shortest is %v, want %v", f.ttl, c.ttl, f.is)
		}
	}
	for _, f := range []struct{ now, asked, in time.Duration }{
		{0, 0, 4500 * time.Millisecond}, {4 * s, 0, 500 * time.Millisecond}, {5 * s, 0, -500 * time.Millisecond}, {5 * s, 5 * s, 4500 * time.Millisecond},
	} {
		if in, ever := c.due(at(f.now), at(f.asked)); in != f.in || !ever {
			t.Errorf("at %v, asked at %v: due in %v, want %v", f.now, f.asked, in, f.in)
		}
	}
	for _, f := range []struct {
		now         time.Duration
		confirm     bool
		from, until time.Duration // -1: none
		lasts       bool
	}{
		{6*s - 1, false, -1, -1, false}, {6 * s, false, -1, -1, true}, {6*s - 1, true, -1, -1, false}, {12*s - 2, false, -1, -1, false},
		{12*s - 1, true, 6*s - 1, 12*s - 1, false}, {11 * s, true, 6*s - 1, 12*s - 1, false}, {18*s - 2, false, 6*s - 1, 12*s - 1, false},
	} {
		if f.confirm {
			c.confirm(at(f.now))
		}
		from, until, lasts := c.silence(at(f.now))
		want := [2]time.Time{}
		if f.from >= 0 {
			want = [2]time.Time{at(f.from), at(f.until)}
		}
		if from != want[0] || until != want[1] || lasts != f.lasts {
			t.Errorf("at %v: silent from %v to %v, lasts %v, want %+v", f.now, from.Sub(start), until.Sub(start), lasts, f)
		}
	}
	c.only(0)
	if _, ever := c.due(at(time.Hour), start); ever || c.silent(at(time.Hour)) {
		t.Error("nothing is followed any more, and a sign of life is due")
	}
}

// Of what is followed the shortest TTL counts, and none once nobody follows.
func TestTheShortestTTLDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSilent()
		writer := must(New(f.option()))
		defer writer.Close()
		for service, ttl := range map[string]time.Duration{"long": 100 * time.Second, "short": 10 * time.Second} {
			must(writer.Register(t.Context(), Instance{Service: service, ID: "a", Address: "h:1"}, TTL(ttl)))
		}
		reader := must(New(f.option(), WithIdle(time.Hour)))
		defer reader.Close()
		pings := func(d time.Duration) int32 {
			synctest.Wait()
			before := f.pings.Load()
			time.Sleep(d)
			synctest.Wait()
			return f.pings.Load() - before
		}
		must(reader.Get(t.Context(), "long"))
		for i := range 8 { // without an instance, so without a TTL
			must(reader.Get(t.Context(), fmt.Sprint("none", i)))
		}
		if n := pings(450 * time.Second); n < 9 || n > 11 {
			t.Errorf("%d signs of life in ten times 45 s, want 10", n)
		}
		must(reader.Get(t.Context(), "short"))
		if n := pings(450 * time.Second); n < 99 || n > 101 {
			t.Errorf("%d signs of life in a hundred times 4.5 s, want 100", n)
		}
	})
}

// What too few, just as many and too many expirations are, at each limit of time.
func TestTheKeeperAtItsLimits(t *testing.T) {
	for name, steps := range map[string][]keeperStep{
		"lost just before its time":             {{0, "a b", "", "a b|"}, {5, "b", "a?", "a b| 1?"}, {14, "-", "", "a b| 1?"}, {15, "-", "", "b|"}},
		"lost and deregistered":                 {{0, "a b", "", "a b|"}, {5, "b", "a?", "a b| 1?"}, {6, "b", "a-", "b|"}},
		"lost and then expired":                 {{0, "a b", "", "a b|"}, {5, "b", "a?", "a b| 1?"}, {6, "b", "a.", "b|"}},
		"lost and not said":                     {{0, "a b", "", "a b|"}, {5, "b", "a?", "a b| 1?"}, {6, "b", "", "a b| 1?"}},
		"cut off and then said to have expired": {{0, "a b", "", "a b|"}, {7, "^b", "a.", "a b| 1?"}, {8, "b", "a.", "a b| 1?"}, {17, "-", "", "b|"}},
		"three of three":                        {{0, "a b c", "", "a b c|"}, {1, "", "", "|a b c"}, {20, "-", "", "|a b c"}, {21, "-", "", "|"}},
		"three that are not more than their share": {{0, "a b c d e f g h i j k l m n o p q r s t", "", "a b c d e f g h i j k l m n o p q r s t|"},
			{1, "d e f g h i j k l m n o p q r s t", "", "d e f g h i j k l m n o p q r s t|"}},
		"three that are": {{0, "a b c d e f g h i j k l m n o p q r s", "", "a b c d e f g h i j k l m n o p q r s|"},
			{1, "d e f g h i j k l m n o p q r s", "", "d e f g h i j k l m n o p q r s|a b c"}},
		"three in whose places others have come": {{0, "a b c", "", "a b c|"}, {1, "a b c d", "", "a b c d|"}, {2, "d", "", "d|"}},
		"one too few has come":                   {{0, "a b c e", "", "a b c e|"}, {1, "a b c d e", "", "a b c d e|"}, {2, "d", "", "d|a b c e"}},
		"one that came and went takes no place":  {{0, "a b c", "", "a b c|"}, {1, "a b c d", "", "a b c d|"}, {2, "", "d-", "|a b c"}},
		"draining ones go":                       {{0, "a! b! c! d!", "", "a! b! c! d!|"}, {1, "", "", "|"}},
		"they come back":                         {{0, "a b c", "", "a b c|"}, {1, "", "", "|a b c"}, {2, "a", "", "a|"}, {3, "a b c", "", "a b c|"}},
		"a gap of half a TTL":                    {{0, "a b", "", "a b|"}, {5, ">a b", "", "a b|"}, {14, "b", "a.", "a b| 1?"}, {15, "-", "", "b|"}},
		"a gap that is shorter":                  {{0, "a b", "", "a b|"}, {4, ">a b", "", "a b|"}, {13, "b", "a.", "b|"}},
		"two gaps that are one":                  {{0, "a b", "", "a b|"}, {3, ">a b", "", "a b|"}, {6, ">a b", "", "a b|"}, {15, "b", "a.", "a b| 1?"}},
		"two gaps with a TTL between":            {{0, "a b", "", "a b|"}, {3, ">a b", "", "a b|"}, {10, "a b", "", "a b|"}, {13, ">a b", "", "a b|"}, {14, "b", "a.", "b|"}},
	} {
		t.Run(name, func(t *testing.T) {
			runKeeper(t, keeper{share: 0.15, ttl: 10 * time.Second, limit: 20 * time.Second}, steps)
		})
	}
}

// Which TTLs a keeper goes by.
func TestTheTTLsOfAKeeper(t *testing.T) {
	k := keeper{ttl: 10 * time.Second}
	if k.shortest() != 0 || k.longest() != 10*time.Second || k.ttlOf("a") != 10*time.Second {
		t.Errorf("of nothing: %v, %v, %v", k.shortest(), k.longest(), k.ttlOf("a"))
	}
	k.ttls = map[string]time.Duration{"a": 5 * time.Second, "b": 20 * time.Second, "c": 0}
	if k.shortest() != 5*time.Second || k.longest() != 20*time.Second || k.ttlOf("a") != 5*time.Second || k.ttlOf("c") != 10*time.Second || k.ttlOf("x") != 10*time.Second {
		t.Errorf("%v, %v, %v, %v", k.shortest(), k.longest(), k.ttlOf("a"), k.ttlOf("c"))
	}
	for ttl, want := range map[time.Duration]time.Duration{minTTL - 1: minTTL, minTTL: minTTL, minTTL + 1: minTTL + 1} {
		k.ttls = map[string]time.Duration{"a": ttl, "b": time.Hour}
		if got := k.shortest(); got != want {
			t.Errorf("of %v the shortest is %v, want %v", ttl, got, want)
		}
	}
	k.missing = []missing{{ttl: 2 * time.Hour}}
	if k.longest() != 2*time.Hour || k.horizon() != 6*time.Hour+time.Second {
		t.Errorf("the longest %v, the horizon %v", k.longest(), k.horizon())
	}
	k.limit = 10 * time.Hour
	if k.horizon() != 12*time.Hour+time.Second {
		t.Errorf("with a limit the horizon is %v", k.horizon())
	}
	m := missing{ttl: 10 * time.Second}
	for _, c := range []struct {
		lost, kept   bool
		limit, stays time.Duration
	}{{false, false, 0, 10 * time.Second}, {false, true, 0, 20 * time.Second}, {true, false, 0, 10 * time.Second}, {false, false, 5 * time.Second, 5 * time.Second}, {false, true, 5 * time.Second, 5 * time.Second}, {true, false, 5 * time.Second, 10 * time.Second}} {
		m.lost, m.kept, k.limit = c.lost, c.kept, c.limit
		if got := k.stays(m); got != c.stays {
			t.Errorf("%+v: it stays %v", c, got)
		}
	}
	now := time.Now()
	k = keeper{ttl: time.Second, synced: true}
	k.came = map[string]time.Time{"at": now.Add(-k.horizon()), "over": now.Add(-k.horizon() - 1)}
	k.apply(now, Update{}, false)
	// Only a time that has a length and ends after the last one is an outage.
	for _, c := range []struct {
		from, until time.Duration
		gap, back   time.Duration
	}{{5, 5, 0, 0}, {6, 5, 0, 0}, {5, 8, 3, 8}, {6, 8, 3, 8}, {4, 7, 3, 8}, {8, 8, 3, 8}, {7, 9, 4, 9}, {20e9, 21e9, 1e9, 21e9}} {
		k.outage(now.Add(c.from), now.Add(c.until))
		if back := k.back; k.gap != c.gap || c.back > 0 && !back.Equal(now.Add(c.back)) || c.back == 0 && !back.IsZero() {
			t.Errorf("an outage from %v to %v: a gap of %v until %v, want %v until %v", c.from, c.until, k.gap, back.Sub(now), c.gap, c.back)
		}
	}
	if (&keeper{}).outage(now, now.Add(1)); k.back.IsZero() {
		t.Error("no outage was noted")
	}
	if _, at := k.came["at"]; !at || len(k.came) != 1 {
		t.Errorf("arrivals that are remembered: %v", k.came)
	}
}

// Which addresses of a host others can reach.
func TestAddressesThatOthersReach(t *testing.T) {
	for text, is := range map[string]string{
		"192.0.2.1": "4", "10.0.0.1": "4", "127.0.0.1": "", "0.0.0.0": "", "169.254.1.1": "", "224.0.0.1": "", "::ffff:192.0.2.1": "4",
		"2001:db8::1": "6", "fd00::1": "6", "::1": "", "::": "", "fe80::1": "", "ff02::1": "",
	} {
		for _, a := range []net.Addr{&net.UDPAddr{IP: net.ParseIP(text)}, &net.IPNet{IP: net.ParseIP(text)}} {
			for v4, want := range map[bool]string{true: "4", false: "6"} {
				ip, ok := reachable(a, v4)
				if ok != (is == want) || ok && ip.String() != strings.TrimPrefix(text, "::ffff:") {
					t.Errorf("%s (%T) by IPv%s: %v, %v", text, a, want, ip, ok)
				}
			}
		}
	}
	if _, ok := reachable(&net.UnixAddr{}, true); ok {
		t.Error("a socket's name is reachable")
	}
}

func TestWhatMakesInstancesEqual(t *testing.T) {
	whole := Instance{ID: "i", Service: "s", Version: "v", Address: "a", Zone: "z", Weight: 1, Status: Down, Endpoints: []string{"e"}, Labels: map[string]string{"k": "v"}}
	if !whole.Equal(whole.Clone()) || !(Instance{Labels: map[string]string{}, Endpoints: []string{}}).Equal(Instance{}) {
		t.Error("an instance is not its copy")
	}
	for name, change := range map[string]func(in *Instance){
		"ID": func(in *Instance) { in.ID = "x" }, "service": func(in *Instance) { in.Service = "x" }, "version": func(in *Instance) { in.Version = "x" }, "address": func(in *Instance) { in.Address = "x" },
		"zone": func(in *Instance) { in.Zone = "x" }, "weight": func(in *Instance) { in.Weight = 2 }, "status": func(in *Instance) { in.Status = Up }, "endpoints": func(in *Instance) { in.Endpoints = nil }, "labels": func(in *Instance) { in.Labels["k"] = "x" },
	} {
		other := whole.Clone()
		change(&other)
		if whole.Equal(other) {
			t.Errorf("with another %s it is equal", name)
		}
	}
	for s, want := range map[Status]string{Up: "up", Starting: "starting", Draining: "draining", Down: "down", Down + 1: "Status(4)"} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
	var s Status = Down
	if err := s.UnmarshalText(nil); err != nil || s != Up {
		t.Errorf("no text is %v, %v", s, err)
	}
}

// A subset is the whole if it is not smaller, and counts what of it is preserved.
func TestTheSizesOfSubsets(t *testing.T) {
	all := Snapshot{Instances: []Instance{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}, Preserved: 2}
	for size, want := range map[int]int{-1: 0, 0: 0, 1: 1, 3: 3, 4: 4, 5: 4} {
		s := all.Subset("me", size)
		preserved := 0
		for i, in := range s.Instances {
			if in.ID >= "c" {
				preserved++
			}
			if i > 0 && in.ID < s.Instances[i-1].ID {
				t.Errorf("%d: not in order: %v", size, s.Instances)
			}
		}
		if len(s.Instances) != want || s.Preserved != preserved {
			t.Errorf("%d: %d instances, %d preserved, want %d and %d", size, len(s.Instances), s.Preserved, want, preserved)
		}
		if whole := len(s.Instances) > 0 && &s.Instances[0] == &all.Instances[0]; whole != (size >= 4) {
			t.Errorf("%d: the same array: %v", size, whole)
		}
	}
	if hash(1, "ab") == hash(1, "a") || hash(hash(1, "ab"), "c") == hash(hash(1, "a"), "bc") {
		t.Error("different texts have one hash")
	}
}

// locked is a log that several goroutines write.
type locked struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *locked) times(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// An outage is over when all that are still followed are back, whatever was given up
// meanwhile; a heartbeat that fails is said once until it succeeds.
func TestTheLogOfAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &locked{}
		f := newFaulty()
		d := must(New(f.option(), WithRetry(time.Second, time.Second), WithLogger(slog.New(slog.NewTextHandler(lines, nil)))))
		defer d.Close()
		registration := must(d.Register(t.Context(), in("a")))
		must(d.Get(t.Context(), "s"))
		f.take()
		time.Sleep(2 * time.Second)
		for i := range maxUnwanted + 1 { // the first of them is followed no more
			d.Get(t.Context(), fmt.Sprint("none", i))
		}
		time.Sleep(time.Minute)
		f.give()
		time.Sleep(time.Minute)
		for text, want := range map[string]int{"the registry is unavailable": 1, "the registry is back": 1, "heartbeat failed": 1, "registered again": 1} {
			if got := lines.times(text); got != want {
				t.Errorf("%q is %d times in the log, want %d", text, got, want)
			}
		}
		f.take()
		time.Sleep(time.Minute)
		f.give()
		time.Sleep(time.Minute)
		for text, want := range map[string]int{"the registry is unavailable": 2, "the registry is back\" backend=faulty\n": 2, "heartbeat failed": 2} {
			if got := lines.times(text); got != want {
				t.Errorf("after the second: %q is %d times in the log, want %d", text, got, want)
			}
		}
		// What was deregistered is written no more.
		if err := registration.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := f.writes.Load()
		time.Sleep(time.Hour)
		if n := f.writes.Load() - before; n != 0 {
			t.Errorf("%d writes after it was deregistered", n)
		}
	})
}

// Services without an instance that nobody wants are followed up to a number; those that
// are wanted, or have an instance, are not among them.
func TestHowManyUnwantedServicesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option(), WithIdle(time.Hour)))
		defer d.Close()
		must(d.Register(t.Context(), in("a")))
		must(d.Get(t.Context(), "s"))
		must(d.Get(t.Context(), "wanted"))
		for i := range maxUnwanted - 1 {
			must(d.Get(t.Context(), fmt.Sprint("none", i)))
			time.Sleep(time.Second)
		}
		following := func(want int) {
			t.Helper()
			synctest.Wait()
			if n := int(f.open.Load()); n != want {
				t.Errorf("%d services are followed, want %d", n, want)
			}
		}
		following(maxUnwanted + 1) // and s
		d.Lookup("wanted")
		must(d.Get(t.Context(), "more"))
		following(maxUnwanted + 2)
		must(d.Get(t.Context(), "evenmore"))
		following(maxUnwanted + 2)
		if _, ok := d.Lookup("none0"); ok {
			t.Error("the oldest unwanted one is followed")
		}
		for _, name := range []string{"s", "wanted", "none1", "evenmore"} {
			if _, ok := d.Lookup(name); !ok {
				t.Errorf("%s is not followed", name)
			}
		}
	})
}

// A registry in memory forgets a service when nothing of it is there, and tells each
// watcher of what was deregistered, unless it is there again.
func TestAMemoryRegistryIsTidy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewRegistry()
		d := memoryDriver{m}
		entry := func(id string, ttl time.Duration) Entry {
			return Entry{Owner: "o", TTL: ttl, Instance: Instance{Service: "s", ID: id, Address: "h:1"}}
		}
		register := func(e Entry) {
			t.Helper()
			if err := d.Register(t.Context(), e, never); err != nil {
				t.Fatal(err)
			}
		}
		known := func(want int) {
			t.Helper()
			synctest.Wait()
			m.mu.Lock()
			defer m.mu.Unlock()
			if len(m.services) != want {
				t.Errorf("%d services are known, want %d", len(m.services), want)
			}
		}
		register(entry("a", time.Second))
		time.Sleep(time.Second - 1)
		known(1)
		time.Sleep(time.Nanosecond)
		known(0)
		register(entry("a", time.Second))
		if err := d.Deregister(t.Context(), entry("a", 0)); err != nil {
			t.Fatal(err)
		}
		known(0)
		ctx, cancel := context.WithCancel(t.Context())
		updates := make(chan Update, 10)
		go d.Watch(ctx, "s", func(u Update) { updates <- u })
		if u := <-updates; len(u.Instances) != 0 {
			t.Errorf("%+v", u)
		}
		known(1)
		if names, err := d.Services(t.Context()); err != nil || len(names) != 0 {
			t.Errorf("services %q, %v, want none that is only watched", names, err)
		}
		register(entry("a", time.Minute))
		register(entry("b", time.Minute))
		synctest.Wait()
		for len(updates) > 0 {
			<-updates
		}
		if err := d.Deregister(t.Context(), entry("a", 0)); err != nil {
			t.Fatal(err)
		}
		if u := <-updates; len(u.Instances) != 1 || u.Fate("a") != Deregistered || u.Fate("b") != Expired || u.TTL("b") != time.Minute {
			t.Errorf("a is deregistered: %+v, %v, %v", u, u.Fate("a"), u.Fate("b"))
		}
		m.mu.Lock() // before the watcher looks, it leaves and comes back
		s := m.services["s"]
		for w := range s.watchers {
			w.left["a"] = true
		}
		m.mu.Unlock()
		register(entry("a", time.Minute))
		if u := <-updates; len(u.Instances) != 2 || u.Fate("a") != Expired {
			t.Errorf("a is back: %+v, and said to be %v", u, u.Fate("a"))
		}
		other := entry("a", time.Minute)
		other.Owner = "another"
		if err := d.Deregister(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - 1)
		if err := d.Renew(t.Context(), entry("a", time.Minute)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond) // b has ended
		if u := <-updates; len(u.Instances) != 1 || u.Instances[0].ID != "a" || u.Fate("b") != Expired {
			t.Errorf("b has ended: %+v", u)
		}
		cancel()
		synctest.Wait()
		m.mu.Lock()
		if n := len(s.watchers); n != 0 {
			t.Errorf("%d watchers are left", n)
		}
		m.mu.Unlock()
		known(1)
		time.Sleep(time.Minute)
		known(0)
	})
}

// What an id stood for, and what a service was, no longer counts when it is over.
func TestWhatIsOverInAMemoryRegistry(t *testing.T) {
	now := time.Now()
	s := &memoryService{entries: map[string]memoryEntry{"a": {expires: now}, "b": {expires: now.Add(1)}}}
	for id, want := range map[string]bool{"a": false, "b": true, "c": false} {
		if _, ok := s.held(id, now); ok != want {
			t.Errorf("%s is held: %v, want %v", id, ok, want)
		}
	}
	m := NewRegistry()
	former := m.service("s")
	m.mu.Lock()
	m.tidy("s", former)
	m.mu.Unlock()
	m.service("s").entries["a"] = memoryEntry{expires: now.Add(time.Hour)}
	m.expire("s", former) // its timer was about to fire
	if len(m.services) != 1 {
		t.Error("the end of a former service takes the present one along")
	}
	for f, want := range map[Fate]string{Unknown: Unknown.String(), Fate(len(fateNames)): fmt.Sprintf("Fate(%d)", len(fateNames))} {
		if got := f.String(); got != want || got == "" {
			t.Errorf("%d is %q", f, got)
		}
	}
}

// The changes that a keeper notes are those that happened, each once.
func TestTheChangesThatAreNoted(t *testing.T) {
	k := keeper{share: 0.15, ttl: 10 * time.Second, limit: 20 * time.Second}
	start := time.Now()
	for _, c := range []struct {
		at          int
		live, fates string
		want        string
	}{
		{0, "a b c", "", ""},
		{1, "a b c d", "", "+d"},
		{2, "c d", "a? b?", "a lost b lost"},
		{3, "c d", "a- b?", "a deregistered"},
		{4, "c d", "b.", "b expired"},
		{5, "c! d", "", "c updated"},
		{6, "d", "c.", "c expired"},
		{7, "", "d-", "d deregistered"},
	} {
		all, _ := set(c.live)
		fates := map[string]Fate{}
		for _, f := range strings.Fields(c.fates) {
			fates[f[:1]] = map[string]Fate{"-": Deregistered, "?": Lost, ".": Expired}[f[1:]]
		}
		k.apply(start.Add(time.Duration(c.at)*time.Second), Update{Instances: all, Fate: func(id string) Fate { return fates[id] }}, c.at == 0)
		k.view(start.Add(time.Duration(c.at) * time.Second))
		var got []string
		for _, ch := range k.taken() {
			switch {
			case ch.Before == nil:
				got = append(got, "+"+ch.After.ID)
			case ch.After != nil:
				got = append(got, ch.After.ID+" updated")
			default:
				got = append(got, ch.Before.ID+" "+ch.Fate.String())
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("at %d s: %q, want %q", c.at, text, c.want)
		}
	}
}

// What is cut off for half a TTL may have been unable to renew itself, however little
// the registry said meanwhile; the log tells of the loss once. An update without a
// difference is none.
func TestInstancesThatExpireAfterASessionWasCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &locked{}
		f := newFaulty()
		reader := must(New(f.option(), WithRetry(time.Millisecond, time.Millisecond), WithLogger(slog.New(slog.NewTextHandler(lines, nil)))))
		defer reader.Close()
		entry := func(id string, ttl time.Duration) Entry {
			return Entry{Owner: "o", TTL: ttl, Instance: Instance{Service: "s", ID: id, Address: "h:1"}}
		}
		for _, e := range []Entry{entry("a", 10*time.Second), entry("b", 11*time.Second), entry("c", time.Hour)} {
			if err := f.memoryDriver.Register(t.Context(), e, never); err != nil {
				t.Fatal(err)
			}
		}
		first := must(reader.Get(t.Context(), "s"))
		if err := f.memoryDriver.Register(t.Context(), entry("c", time.Hour), func(Entry) bool { return true }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s, _ := reader.Lookup("s"); s.Revision != first.Revision || &s.Instances[0] != &first.Instances[0] {
			t.Errorf("revision %d after %d, though nothing is another", s.Revision, first.Revision)
		}
		f.take()
		time.Sleep(5500 * time.Millisecond)
		f.give()
		time.Sleep(5 * time.Second) // a has expired
		for _, want := range []int{1, 2} {
			s, _ := reader.Lookup("s")
			if len(s.Instances) != 3 || s.Unconfirmed != want {
				t.Errorf("%d instances, %d unconfirmed, want 3 and %d", len(s.Instances), s.Unconfirmed, want)
			}
			time.Sleep(time.Second) // and b
		}
		if n := lines.times("the registry has lost instances"); n != 1 {
			t.Errorf("%d lines in the log of what was lost, want 1", n)
		}
	})
}

// A registration that was ended sends nothing, and nothing of it runs.
func TestARegistrationThatWasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option()))
		defer d.Close()
		r := must(d.Register(t.Context(), in("a")))
		runs := func() bool {
			synctest.Wait()
			stacks := make([]byte, 1<<20)
			return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "discovery.(*registration).run(")
		}
		if !runs() {
			t.Error("it sends no heartbeats")
		}
		if err := r.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		if runs() {
			t.Error("it goes on after it was deregistered")
		}
		before := f.writes.Load()
		if err := r.(*registration).heartbeat(t.Context()); err != nil || f.writes.Load() != before {
			t.Errorf("a heartbeat that was about to be sent: %v, %d writes", err, f.writes.Load()-before)
		}
	})
}

// Looking for this host's address leaves nothing open.
func TestHostPortLeavesNothingOpen(t *testing.T) {
	open := func() int {
		entries, _ := os.ReadDir("/proc/self/fd")
		return len(entries)
	}
	before := open()
	for range 50 {
		if _, err := HostPort(":80"); err != nil {
			t.Skip(err)
		}
	}
	if n := open(); n > before+10 {
		t.Errorf("%d files are open, %d were before", n, before)
	}
}

// ending is a registry whose watches end without a reason.
type ending struct{ *faulty }

func (d ending) Watch(ctx context.Context, service string, deliver func(Update)) error {
	deliver(Update{})
	return nil
}

// A watch that ends by itself is an outage, and says so.
func TestAWatchThatEndsIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := must(New(WithDriver("ending", func(context.Context) (Driver, error) { return ending{newFaulty()}, nil }), WithRetry(time.Hour, time.Hour)))
		defer d.Close()
		must(d.Get(t.Context(), "s"))
		synctest.Wait()
		if s, _ := d.Lookup("s"); s.State != Stale || s.Err == nil || !strings.Contains(s.Err.Error(), "the registry ended the watch") {
			t.Errorf("%v, %v, want that the watch has ended", s.State, s.Err)
		}
	})
}

// Many that expire at once are in the log once, for as long as they are kept.
func TestTheLogOfManyThatExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &locked{}
		f := newFaulty()
		reader := must(New(f.option(), WithLogger(slog.New(slog.NewTextHandler(lines, nil)))))
		defer reader.Close()
		for i := range 6 {
			ttl := 10 * time.Second
			if i >= 4 {
				ttl = 11 * time.Second
			}
			e := Entry{Owner: "o", TTL: ttl, Instance: Instance{Service: "s", ID: fmt.Sprint(i), Address: "h:1"}}
			if err := f.memoryDriver.Register(t.Context(), e, never); err != nil {
				t.Fatal(err)
			}
		}
		must(reader.Get(t.Context(), "s"))
		time.Sleep(10500 * time.Millisecond)
		if s, _ := reader.Lookup("s"); s.Preserved != 4 {
			t.Errorf("%d are kept, want 4", s.Preserved)
		}
		time.Sleep(time.Second)
		if s, _ := reader.Lookup("s"); s.Preserved != 6 {
			t.Errorf("%d are kept, want 6", s.Preserved)
		}
		if n := lines.times("many instances expired at once"); n != 1 {
			t.Errorf("%d lines in the log, want 1", n)
		}
	})
}
