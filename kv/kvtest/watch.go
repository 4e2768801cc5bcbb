package kvtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
)

// watched is a watch that runs on its own goroutine.
type watched struct {
	s      *suite
	events chan kv.Event
	errs   chan error // the last error ends it
	stop   context.CancelFunc
	ended  chan struct{}
}

func (s *suite) watch(store kv.KV, prefix string) *watched {
	ctx, cancel := context.WithCancel(s.T.Context())
	w := &watched{s: s, events: make(chan kv.Event, 4096), errs: make(chan error, 64), stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for e, err := range store.Watch(ctx, prefix) {
			if err != nil {
				w.errs <- err
				continue
			}
			w.events <- e
		}
	}()
	s.Cleanup(func() { cancel(); <-w.ended })
	return w
}

// watchesExpiry lets items live for some units and watches them. It reports
// whether that was in time.
func watchesExpiry(s *suite, unit time.Duration) (inTime bool) {
	store := s.watcher()
	began := time.Now()
	s.put(store, "before", "v", kv.TTL(5*unit))
	w := s.watch(store, "")
	if time.Since(began) >= 5*unit || !w.alive("before", "v", began.Add(5*unit)) {
		return false
	}
	w.want(kv.EventSynced, "", "")
	w.want(kv.EventDelete, "before", "")
	began = time.Now()
	s.put(store, "after", "v", kv.TTL(2*unit))
	if !w.alive("after", "v", began.Add(2*unit)) {
		return false
	}
	w.want(kv.EventDelete, "after", "")
	s.wantMissing(store, "after")

	began = time.Now()
	s.put(store, "kept", "1", kv.TTL(4*unit))
	if !w.alive("kept", "1", began.Add(4*unit)) {
		return false
	}
	s.put(store, "kept", "2")
	if time.Since(began) >= 4*unit {
		return false
	}
	w.want(kv.EventPut, "kept", "2")
	began = time.Now()
	s.put(store, "short", "v", kv.TTL(7*unit))
	if !w.alive("short", "v", began.Add(7*unit)) {
		return false
	}
	w.want(kv.EventDelete, "short", "") // and nothing of "kept" before it
	return true
}

// alive wants the next event to tell of an item that lives until end. It reports
// whether it did: something else is an error only before the end.
func (w *watched) alive(key, value string, end time.Time) bool {
	w.s.Helper()
	var e kv.Event
	select {
	case e = <-w.events:
	case err := <-w.errs:
		w.s.Fatalf("watch: %v", err)
	case <-time.After(time.Until(end) + 10*time.Second): // it was over before the watch looked
		return false
	}
	if e.Kind == kv.EventPut && e.Item.Key == key && string(e.Item.Value) == value {
		return true
	}
	if time.Now().Before(end) {
		w.s.Fatalf("event %v %q=%q, want %v %q=%q", e.Kind, e.Item.Key, e.Item.Value, kv.EventPut, key, value)
	}
	return false
}

// watcher opens a store that can watch; one that cannot has to say so.
func (s *suite) watcher(opts ...kv.Option) kv.KV {
	s.Helper()
	store := s.open(opts...)
	if store.Features().Watch {
		return store
	}
	for _, err := range store.Watch(s.ctx(), "") {
		s.wantErr(err, kv.ErrUnsupported, "watch")
		s.Skip("the backend does not watch, and says so")
	}
	s.Fatal("Watch yields nothing and no error, but Features.Watch is not set")
	return nil
}

func (w *watched) next() kv.Event {
	w.s.Helper()
	select {
	case e := <-w.events:
		return e
	case err := <-w.errs:
		w.s.Fatalf("watch: %v", err)
	case <-time.After(30 * time.Second):
		w.s.Fatal("no event within 30s")
	}
	return kv.Event{}
}

// want fails unless the next event is the one given. value "" means a delete.
func (w *watched) want(kind kv.EventKind, key, value string) {
	w.s.Helper()
	e := w.next()
	if e.Kind != kind || e.Item.Key != key || string(e.Item.Value) != value {
		w.s.Fatalf("event %v %q=%q, want %v %q=%q", e.Kind, e.Item.Key, e.Item.Value, kind, key, value)
	}
	if kind == kv.EventPut && (e.Item.Revision == 0 || e.Item.Value == nil) {
		w.s.Fatalf("event %v %q has revision %d and value %v", e.Kind, e.Item.Key, e.Item.Revision, e.Item.Value)
	}
}

// until applies events to state until it is want, in whatever steps.
func (w *watched) until(state, want map[string]string) {
	w.s.Helper()
	deadline := time.After(30 * time.Second)
	for !maps.Equal(state, want) {
		select {
		case e := <-w.events:
			switch e.Kind {
			case kv.EventPut:
				state[e.Item.Key] = string(e.Item.Value)
			case kv.EventDelete:
				delete(state, e.Item.Key)
			}
		case <-w.errs: // an outage; it recovers
		case <-deadline:
			w.s.Fatalf("the watch led to %.500v, want %.500v", state, want)
		}
	}
}

var watchCases = []testCase{
	{"NearCacheSeesOthers", func(s *suite) {
		store := s.watcher()
		other := store
		if store.Features().Shared {
			other = s.open()
		}
		near, err := cache.New(store, cache.WithFollow(""), cache.WithMaxAge(time.Hour))
		if err != nil {
			s.Fatal(err)
		}
		defer near.Close()
		reads := func(want string) {
			s.Helper()
			s.eventually(30*time.Second, func() (bool, string) {
				item, err := near.Get(s.ctx(), "k")
				if errors.Is(err, kv.ErrNotFound) {
					item.Value, err = []byte("-"), nil
				}
				return err == nil && string(item.Value) == want, fmt.Sprintf("k is %q, %v, want %q", item.Value, err, want)
			})
		}
		for i := range 10 {
			s.put(other, "k", "a")
			_, _ = near.Get(s.ctx(), "k")
			s.put(other, "k", "b")
			_, _ = near.Get(s.ctx(), "k")
			s.put(other, "k", "a") // what was there before, with the same revision on some
			reads("a")
			if i%5 == 4 {
				if err := other.Delete(s.ctx(), "k"); err != nil {
					s.Fatal(err)
				}
				reads("-")
			}
		}
	}},
	{"WatchTellsStateThenChanges", func(s *suite) {
		store := s.watcher()
		s.put(store, "w/a", "1")
		s.put(store, "w/b", "2")
		s.put(store, "x", "not of the prefix")
		w := s.watch(store, "w/")
		state := map[string]string{}
		for range 2 {
			e := w.next()
			state[e.Item.Key] = string(e.Item.Value)
		}
		if want := map[string]string{"w/a": "1", "w/b": "2"}; !maps.Equal(state, want) {
			s.Fatalf("state %v, want %v", state, want)
		}
		w.want(kv.EventSynced, "", "")

		r := s.put(store, "w/a", "1b")
		w.want(kv.EventPut, "w/a", "1b")
		s.put(store, "y", "not of the prefix")
		s.put(store, "w/c", "3", kv.IfAbsent())
		w.want(kv.EventPut, "w/c", "3")
		s.put(store, "w/a", "1c", kv.IfRevision(r))
		w.want(kv.EventPut, "w/a", "1c")
		if err := store.Delete(s.ctx(), "w/b"); err != nil {
			s.Fatal(err)
		}
		w.want(kv.EventDelete, "w/b", "")
		if _, err := store.Add(s.ctx(), "w/n", 7); err != nil {
			s.Fatal(err)
		}
		w.want(kv.EventPut, "w/n", "7")
		if err := store.PutMany(s.ctx(), map[string][]byte{"w/m": []byte("m")}); err != nil {
			s.Fatal(err)
		}
		w.want(kv.EventPut, "w/m", "m")
		if err := store.Delete(s.ctx(), "w/m", kv.IfRevision(s.get(store, "w/m").Revision)); err != nil {
			s.Fatal(err)
		}
		w.want(kv.EventDelete, "w/m", "")
	}},
	{"WatchOfNothingIsSyncedAtOnce", func(s *suite) {
		store := s.watcher()
		w := s.watch(store, "none/")
		w.want(kv.EventSynced, "", "")
		s.put(store, "none/k", "v")
		w.want(kv.EventPut, "none/k", "v")
		s.put(store, "none/k", "")
		w.want(kv.EventPut, "none/k", "")
	}},
	{"WatchTellsOfOddKeys", func(s *suite) {
		store := s.watcher()
		w := s.watch(store, "")
		w.want(kv.EventSynced, "", "")
		for _, key := range OddKeys() {
			s.put(store, key, "v")
			w.want(kv.EventPut, key, "v")
		}
	}},
	{"WatchTellsOfExpiry", func(s *suite) {
		// A slow machine sees the end of what it was to see alive: once more, with longer lives.
		for unit := 100 * time.Millisecond; !watchesExpiry(s, unit); unit *= 4 {
			if unit > 5*time.Second {
				s.Fatalf("nobody saw an item that lives for %v", 2*unit)
			}
			s.ns = ""
		}
	}},
	{"SlowReaderMissesNoLastValue", func(s *suite) {
		store := s.watcher()
		s.put(store, "k0", "start")
		ctx, cancel := context.WithCancel(s.ctx())
		defer cancel()
		want := map[string]string{}
		state := map[string]string{}
		written := false
		for e, err := range store.Watch(ctx, "") {
			if err != nil {
				s.Fatal(err)
			}
			switch e.Kind {
			case kv.EventPut:
				state[e.Item.Key] = string(e.Item.Value)
			case kv.EventDelete:
				delete(state, e.Item.Key)
			}
			if !written { // the reader is busy while all this happens
				written = true
				for i := range 300 {
					key, value := fmt.Sprint("k", i%10), fmt.Sprint(i)
					s.put(store, key, value)
					want[key] = value
				}
				if err := store.Delete(s.ctx(), "k3"); err != nil {
					s.Fatal(err)
				}
				delete(want, "k3")
				s.put(store, "last", "one")
				want["last"] = "one"
			}
			if maps.Equal(state, want) {
				return
			}
		}
		s.Fatalf("the watch ended with %v, want %v", state, want)
	}},
	{"WatchNeverGoesBackwards", func(s *suite) {
		store := s.watcher()
		w := s.watch(store, "n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 200 {
				s.put(store, "n", fmt.Sprintf("%06d", i))
			}
		}()
		last := ""
		for last != "000199" {
			e := w.next()
			if e.Kind == kv.EventPut {
				if v := string(e.Item.Value); v < last {
					s.Fatalf("%s came after %s", v, last)
				} else {
					last = v
				}
			}
		}
		<-done
	}},
	{"WatchEndsWithItsContextAndReader", func(s *suite) {
		store := s.watcher()
		s.put(store, "k", "v")
		for range store.Watch(s.ctx(), "") {
			break
		}
		w := s.watch(store, "")
		w.want(kv.EventPut, "k", "v")
		w.want(kv.EventSynced, "", "")
		w.stop()
		select {
		case err := <-w.errs:
			s.wantErr(err, context.Canceled, "watch")
		case <-time.After(30 * time.Second):
			s.Fatal("the watch did not end within 30s of its context")
		}
		<-w.ended
	}},
	{"SeveralWatchesSeeTheSame", func(s *suite) {
		store := s.watcher()
		ws := []*watched{s.watch(store, ""), s.watch(store, "k"), s.watch(s.open(), "")}
		if !store.Features().Shared {
			ws = ws[:2]
		}
		for _, w := range ws {
			w.want(kv.EventSynced, "", "")
		}
		s.put(store, "k", "v")
		for _, w := range ws {
			w.want(kv.EventPut, "k", "v")
		}
	}},
}
