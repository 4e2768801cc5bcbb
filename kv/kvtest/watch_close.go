package kvtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/micro/go-platform/kv"
)

var closeCases = []testCase{
	{"CloseIsIdempotentAndFinal", func(s *suite) {
		store := s.open()
		s.put(store, "k", "v")
		together(4, func(int) {
			if err := store.Close(); err != nil {
				s.Errorf("Close: %v", err)
			}
		})
		_, err := store.Get(s.ctx(), "k")
		s.wantErr(err, kv.ErrClosed, "get")
		_, err = store.Put(s.ctx(), "k", nil)
		s.wantErr(err, kv.ErrClosed, "put")
		s.wantErr(store.Delete(s.ctx(), "k"), kv.ErrClosed, "delete")
		_, err = store.Add(s.ctx(), "n", 1)
		s.wantErr(err, kv.ErrClosed, "add")
		_, err = store.GetMany(s.ctx(), "k")
		s.wantErr(err, kv.ErrClosed, "get many")
		s.wantErr(store.PutMany(s.ctx(), map[string][]byte{"k": nil}), kv.ErrClosed, "put many")
		for _, err := range store.List(s.ctx(), "") {
			s.wantErr(err, kv.ErrClosed, "list")
		}
		for _, err := range store.Watch(s.ctx(), "") {
			s.wantErr(err, kv.ErrClosed, "watch")
		}
		_ = store.Features()
	}},
	{"CloseEndsWatches", func(s *suite) {
		store := s.watcher()
		w := s.watch(store, "")
		w.want(kv.EventSynced, "", "")
		if err := store.Close(); err != nil {
			s.Fatal(err)
		}
		select {
		case err := <-w.errs:
			s.wantErr(err, kv.ErrClosed, "watch")
		case <-time.After(30 * time.Second):
			s.Fatal("the watch did not end within 30s of Close")
		}
		<-w.ended
	}},
	{"CloseUnderLoad", func(s *suite) {
		store := s.open()
		s.put(store, "k", "v")
		going := make(chan struct{}, 8)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			for range 8 {
				<-going
			}
			if err := store.Close(); err != nil {
				s.Errorf("Close: %v", err)
			}
		}()
		together(8, func(int) {
			for n := 0; ; n++ {
				if n == 3 {
					going <- struct{}{}
				}
				_, err := store.Get(s.ctx(), "k")
				if errors.Is(err, kv.ErrClosed) {
					return
				}
				if err != nil {
					s.Errorf("Get: %v", err)
					return
				}
			}
		})
		<-closed
	}},
}

var outageCases = []testCase{
	{"OutageIsSaidFastAndEnds", func(s *suite) {
		if s.h.Down == nil {
			s.Skip("the harness cannot take the backend away")
		}
		store := s.open()
		s.put(store, "k", "v")
		up := s.h.Down(s.T)
		start := time.Now()
		_, err := store.Get(s.ctx(), "k")
		s.wantErr(err, kv.ErrUnavailable, `get "k"`)
		_, err = store.Put(s.ctx(), "k", []byte("w"))
		if !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrUnknownOutcome) {
			s.Fatalf("Put while the backend is unavailable: %v", err)
		}
		if took := time.Since(start); took > 8*time.Second {
			s.Errorf("two calls took %v to fail", took)
		}
		up()
		s.eventually(45*time.Second, func() (bool, string) {
			_, err := store.Put(s.ctx(), "k", []byte("w"))
			return err == nil, fmt.Sprint(err)
		})
		s.want(store, "k", "w")
	}},
	{"WatchGoesOnAfterAnOutage", func(s *suite) {
		if s.h.Down == nil {
			s.Skip("the harness cannot take the backend away")
		}
		store := s.watcher()
		state := map[string]string{}
		want := map[string]string{"stays": "1", "goes": "1"}
		s.put(store, "stays", "1")
		s.put(store, "goes", "1")
		w := s.watch(store, "")
		w.until(state, want)
		w.want(kv.EventSynced, "", "")

		up := s.h.Down(s.T)
		select {
		case err := <-w.errs:
			s.wantErr(err, kv.ErrUnavailable, "watch")
		case <-time.After(time.Minute):
			s.Error("the watch did not tell of the outage within a minute")
		}
		up()
		s.eventually(45*time.Second, func() (bool, string) {
			_, err := store.Put(s.ctx(), "new", []byte("1"))
			return err == nil, fmt.Sprint(err)
		})
		if !store.Features().Durable {
			want = map[string]string{}
		} else if err := store.Delete(s.ctx(), "goes"); err != nil {
			s.Fatal(err)
		}
		delete(want, "goes")
		want["new"] = "1"
		w.until(state, want)
		keys := slices.Sorted(maps.Keys(state))
		s.Logf("after the outage the watch led to %v", keys)
	}},
}
