package discovery

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a memory registry that can be paused: nothing is refused, and
// nothing answered until it goes on. What expires in it meanwhile is expired
// then.
type silent struct {
	memoryDriver
	pings  atomic.Int32
	claims time.Duration // the TTL that entries say they have; 0: their own

	mu   sync.Mutex
	goes chan struct{} // closed: it answers
}

func newSilent() *silent {
	d := &silent{memoryDriver: memoryDriver{NewRegistry()}, goes: make(chan struct{})}
	close(d.goes)
	return d
}

func (d *silent) option() Option {
	return WithDriver("silent", func(context.Context) (Driver, error) { return d, nil })
}

func (d *silent) pause() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.goes = make(chan struct{})
}

func (d *silent) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.goes)
}

func (d *silent) wait(ctx context.Context) error {
	d.mu.Lock()
	goes := d.goes
	d.mu.Unlock()
	select {
	case <-goes:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *silent) Ping(ctx context.Context) error { d.pings.Add(1); return d.wait(ctx) }

func (d *silent) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	return d.memoryDriver.Register(ctx, e, replace)
}

func (d *silent) Renew(ctx context.Context, e Entry) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	return d.memoryDriver.Renew(ctx, e)
}

func (d *silent) Watch(ctx context.Context, service string, deliver func(Update)) error {
	return d.memoryDriver.Watch(ctx, service, func(u Update) {
		if d.claims > 0 {
			u.TTL = func(string) time.Duration { return d.claims }
		}
		if d.wait(ctx) == nil {
			deliver(u)
		}
	})
}

// silentStory has a reader, whose session never ends, and another process with
// instances that live and one that stops when the pause begins.
func silentStory(t *testing.T, f *silent, pause time.Duration) (reader Discovery, resumed time.Time) {
	writer := must(New(f.option()))
	t.Cleanup(func() { writer.Close() })
	reader = must(New(f.option()))
	t.Cleanup(func() { reader.Close() })
	for _, service := range []string{"s", "other"} {
		must(writer.Register(t.Context(), Instance{Service: service, ID: "lives", Address: "h:1"}))
	}
	must(reader.Get(t.Context(), "s"))
	must(reader.Get(t.Context(), "other"))
	time.Sleep(time.Minute)
	must(writer.Register(t.Context(), in("dies"), NoHeartbeat()))
	time.Sleep(time.Second)
	f.pause()
	time.Sleep(pause)
	f.resume()
	return reader, time.Now()
}

// offered is how many instances Lookup has of a service.
func offered(d Discovery, service string) int {
	s, _ := d.Lookup(service)
	return len(s.Instances)
}

func TestWhoLivesIsNotMissedAfterAPauseThatNoSessionNoticed(t *testing.T) {
	for what, pause := range map[string]time.Duration{"three TTLs": 45 * time.Second, "just long enough": 14 * time.Second} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reader, resumed := silentStory(t, newSilent(), pause)
				for time.Since(resumed) < 16*time.Second {
					if s, _ := reader.Lookup("s"); len(s.Instances) == 0 || s.Instances[len(s.Instances)-1].ID != "lives" {
						t.Fatalf("%v after it went on: %+v", time.Since(resumed), s)
					}
					if offered(reader, "other") != 1 {
						t.Fatalf("%v after it went on the other service has %d", time.Since(resumed), offered(reader, "other"))
					}
					time.Sleep(10 * time.Millisecond)
				}
				s, _ := reader.Lookup("s")
				if len(s.Instances) != 1 || s.Unconfirmed+s.Preserved != 0 {
					t.Errorf("a TTL and a second after it went on: %+v; want only who lives", s)
				}
			})
		})
	}
}

// A registry that is not silent is believed at once, by a process that has an
// instance of its own and by one that only reads.
func TestWithoutAPauseWhoDiesIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSilent()
		reader, _ := silentStory(t, f, 4*time.Second) // of 15
		time.Sleep(10*time.Second + time.Second)
		s, _ := reader.Lookup("s")
		if len(s.Instances) != 1 || s.Instances[0].ID != "lives" {
			t.Errorf("16 s after its only heartbeat: %+v", s)
		}
	})
}

func TestOnlyWhoHearsNothingElseAsksForASignOfLife(t *testing.T) {
	for _, c := range []struct {
		what        string
		instance    bool // the reader has one
		follows     string
		claims      time.Duration
		least, most int32
	}{
		{"a reader alone", false, "s", 0, 85, 90}, // in 10 minutes, every 6.75 s
		{"one with heartbeats", true, "s", 0, 0, 0},
		{"one of services without instances", false, "none", 0, 0, 0},
		{"one of an entry with the least TTL", false, "s", time.Second, 2990, 3000},
		{"one of a stranger's entry with a shorter one", false, "s", time.Nanosecond, 2990, 3000},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newSilent()
			f.claims = c.claims
			writer := must(New(Memory(f.m)))
			defer writer.Close()
			must(writer.Register(t.Context(), in("a")))
			reader := must(New(f.option()))
			defer reader.Close()
			if c.instance {
				must(reader.Register(t.Context(), Instance{Service: "mine", Address: "h:1"}))
			}
			must(reader.Get(t.Context(), c.follows))
			before := f.pings.Load()
			for range 60 {
				time.Sleep(10 * time.Second)
				reader.Lookup(c.follows)
			}
			if n := f.pings.Load() - before; n < c.least || n > c.most {
				t.Errorf("%s asked %d times in 10 minutes, want %d to %d", c.what, n, c.least, c.most)
			}
		})
	}
}

// What is kept for want of contact isn't dropped during a second pause.
func TestASecondPauseGivesTheLostTheirTimeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSilent()
		reader, _ := silentStory(t, f, 45*time.Second)
		time.Sleep(time.Millisecond)
		s, _ := reader.Lookup("s")
		if len(s.Instances) != 2 || s.Unconfirmed == 0 {
			t.Fatalf("after the first: %+v", s)
		}
		f.pause()
		for range 40 {
			time.Sleep(time.Second)
			if n := offered(reader, "s"); n != 2 {
				t.Fatalf("%d during the second", n)
			}
		}
		f.resume()
		time.Sleep(17 * time.Second)
		if s, _ := reader.Lookup("s"); len(s.Instances) != 1 || s.Unconfirmed > 0 {
			t.Errorf("17 s after it: %+v", s)
		}
	})
}
