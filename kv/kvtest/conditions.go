package kvtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/kv"
)

var conditionCases = []testCase{
	{"IfAbsentCreatesOnce", func(s *suite) {
		store := s.open()
		s.put(store, "k", "first", kv.IfAbsent())
		_, err := store.Put(s.ctx(), "k", []byte("second"), kv.IfAbsent())
		s.wantErr(err, kv.ErrExists, `put "k"`)
		s.want(store, "k", "first")
		if err := store.Delete(s.ctx(), "k"); err != nil {
			s.Fatal(err)
		}
		s.put(store, "k", "third", kv.IfAbsent())

		_, err = store.Put(s.ctx(), "k", []byte("x"), kv.IfRevision(0))
		s.wantErr(err, kv.ErrConflict, `put "k"`)
		s.put(store, "other", "x", kv.IfRevision(0))
	}},
	{"IfAbsentHasOneWinner", func(s *suite) {
		store := s.open()
		for round := range 3 * s.h.Stress {
			var won atomic.Int64
			key := fmt.Sprint("k", round)
			together(16, func(i int) {
				_, err := store.Put(s.ctx(), key, []byte(strconv.Itoa(i)), kv.IfAbsent())
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, kv.ErrExists):
					s.Errorf("IfAbsent: %v", err)
				}
			})
			if won.Load() != 1 {
				s.Fatalf("%d of 16 created the key", won.Load())
			}
		}
	}},
	{"IfRevisionSeesChanges", func(s *suite) {
		store := s.open()
		r1 := s.put(store, "k", "1")
		r2 := s.put(store, "k", "2", kv.IfRevision(r1))
		if r1 == r2 {
			s.Fatalf("two values have revision %d", r1)
		}
		_, err := store.Put(s.ctx(), "k", []byte("3"), kv.IfRevision(r1))
		s.wantErr(err, kv.ErrConflict, `put "k"`)
		s.want(store, "k", "2")
		if got := s.get(store, "k").Revision; got != r2 {
			s.Fatalf("Get has revision %d, Put gave %d", got, r2)
		}
		_, err = store.Put(s.ctx(), "missing", []byte("x"), kv.IfRevision(r1))
		s.wantErr(err, kv.ErrConflict, `put "missing"`)
		s.wantMissing(store, "missing")
	}},
	{"DeleteIfRevision", func(s *suite) {
		store := s.open()
		r1 := s.put(store, "k", "1")
		r2 := s.put(store, "k", "2")
		s.wantErr(store.Delete(s.ctx(), "k", kv.IfRevision(r1)), kv.ErrConflict, `delete "k"`)
		s.want(store, "k", "2")
		if err := store.Delete(s.ctx(), "k", kv.IfRevision(r2)); err != nil {
			s.Fatal(err)
		}
		s.wantMissing(store, "k")
		s.wantErr(store.Delete(s.ctx(), "k", kv.IfRevision(r2)), kv.ErrConflict, `delete "k"`)
	}},
	{"DeleteIfRevisionHasOneWinner", func(s *suite) {
		store := s.open()
		for round := range 3 * s.h.Stress {
			var won atomic.Int64
			key := fmt.Sprint("k", round)
			rev := s.put(store, key, "v")
			together(16, func(int) {
				err := store.Delete(s.ctx(), key, kv.IfRevision(rev))
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, kv.ErrConflict):
					s.Errorf("Delete: %v", err)
				}
			})
			if won.Load() != 1 {
				s.Fatalf("%d of 16 deleted the key", won.Load())
			}
			s.wantMissing(store, key)
		}
	}},
	{"RevisionsOfOneValueDiffer", func(s *suite) {
		store := s.open()
		if !store.Features().Versions {
			s.Skip("revisions name the bytes here")
		}
		r1 := s.put(store, "k", "same")
		r2 := s.put(store, "k", "same")
		_, err := store.Put(s.ctx(), "k", []byte("x"), kv.IfRevision(r1))
		s.wantErr(err, kv.ErrConflict, "put")
		if err := store.Delete(s.ctx(), "k"); err != nil {
			s.Fatal(err)
		}
		r3 := s.put(store, "k", "same")
		if r1 == r2 || r2 == r3 || r1 == r3 {
			s.Fatalf("three writes have revisions %d, %d, %d", r1, r2, r3)
		}
		s.wantErr(store.Delete(s.ctx(), "k", kv.IfRevision(r2)), kv.ErrConflict, "delete")
	}},
	{"RevisionsAgreeEverywhere", func(s *suite) {
		store := s.open()
		rev := s.put(store, "k", "v")
		items, err := store.GetMany(s.ctx(), "k")
		if err != nil || items["k"].Revision != rev {
			s.Fatalf("GetMany has %+v, %v, want revision %d", items["k"], err, rev)
		}
		if !store.Features().List {
			return
		}
		for item, err := range store.List(s.ctx(), "k") {
			if err != nil || item.Revision != rev {
				s.Fatalf("List has %+v, %v, want revision %d", item, err, rev)
			}
		}
	}},
	{"CounterByIfRevisionIsExact", func(s *suite) {
		store := s.open()
		s.put(store, "n", "0")
		n := 100
		together(n, func(int) {
			for {
				item, err := store.Get(s.ctx(), "n")
				if err != nil {
					s.Errorf("Get: %v", err)
					return
				}
				now, _ := strconv.Atoi(string(item.Value))
				_, err = store.Put(s.ctx(), "n", []byte(strconv.Itoa(now+1)), kv.IfRevision(item.Revision))
				if err == nil {
					return
				}
				if !errors.Is(err, kv.ErrConflict) {
					s.Errorf("Put: %v", err)
					return
				}
				<-time.After(rand.N(50 * time.Millisecond)) // else a slow backend takes seconds
			}
		})
		s.want(store, "n", strconv.Itoa(n))
	}},
}
