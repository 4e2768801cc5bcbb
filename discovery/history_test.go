package discovery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a registry whose one session delivers what a test says.
type scripted struct {
	memoryDriver
	updates chan Update
}

func (d *scripted) Watch(ctx context.Context, _ string, deliver func(Update)) error {
	for {
		select {
		case u := <-d.updates:
			deliver(u)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// What the registry loses is told apart from what expires, and what comes back
// is a change again.
func TestChangesOfALostRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &scripted{memoryDriver{NewRegistry()}, make(chan Update)}
		r, err := New(WithDriver("scripted", func(context.Context) (Driver, error) { return d, nil }), WithTTL(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		one := []Instance{{ID: "a", Address: "h:1"}, {ID: "b", Address: "h:1"}}
		go r.Get(t.Context(), "s")
		say := func(u Update) {
			u.Instances = slices.Clone(u.Instances)
			d.updates <- u
			synctest.Wait()
		}
		lost := func(string) Fate { return Lost }
		say(Update{Instances: one})
		say(Update{Fate: lost})
		time.Sleep(time.Second)
		say(Update{Instances: one[:1], Fate: lost})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var got []string
		for _, c := range r.Changes("s", time.Time{}) {
			if c.After != nil {
				got = append(got, "+"+c.After.ID)
			} else {
				got = append(got, c.Before.ID+" "+c.Fate.String())
			}
		}
		if want := "a lost,b lost,+a,b expired"; strings.Join(got, ",") != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A registration remembers its last heartbeats, also those that failed.
func TestHeartbeatsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d, err := New(f.option(), WithTTL(3*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		r, err := d.Register(t.Context(), Instance{Service: "s", ID: "a", Address: "h:1"})
		if err != nil {
			t.Fatal(err)
		}
		f.down.Store(true)
		time.Sleep(1500 * time.Millisecond)
		beats := r.Heartbeats()
		if len(beats) < 2 || beats[0].Err != nil || !errors.Is(beats[1].Err, ErrUnavailable) || !beats[1].At.After(beats[0].At) {
			t.Errorf("got %+v, want one that succeeded and then failures", beats)
		}
		f.down.Store(false)
		time.Sleep(2 * heartbeats * time.Second)
		beats = r.Heartbeats()
		if len(beats) != heartbeats || beats[0].Err != nil || time.Since(beats[heartbeats-1].At) > 2*time.Second {
			t.Errorf("%d are remembered, the first %+v, want the last %d", len(beats), beats[0], heartbeats)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 2} {
			d, err := New(func(o *options) error { o.history = n; return nil })
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Get(t.Context(), "s")
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"a", "b"} {
				_, err := d.Register(t.Context(), Instance{Service: "s", ID: id, Address: "h:1"})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			if got := len(d.Changes("s", time.Time{})); got != want {
				t.Errorf("history of %d: %d changes, want %d", n, got, want)
			}
			d.Close()
		}
	})
}
