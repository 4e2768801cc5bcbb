package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/micro/go-platform/kv"
)

// slack is how late a test may be on a busy machine.
const slack = 30 * time.Second

var lifeCases = []testCase{
	{"LifeEnds", func(s *suite) {
		store := s.open()
		step := store.Features().ExpiryStep
		for _, d := range []time.Duration{time.Millisecond, 300 * time.Millisecond} {
			key := d.String()
			start := time.Now() // before Put, whose answer may be late
			rev := s.put(store, key, "v", kv.TTL(d))
			s.eventually(d+step+slack, func() (bool, string) {
				_, err := store.Get(s.ctx(), key)
				return errors.Is(err, kv.ErrNotFound), fmt.Sprintf("TTL %v: Get gives error %v", d, err)
			})
			if took := time.Since(start); d > 100*time.Millisecond && took < d-20*time.Millisecond {
				s.Errorf("an item with TTL %v was gone after %v", d, took)
			}
			if items, err := store.GetMany(s.ctx(), key); err != nil || len(items) != 0 {
				s.Errorf("GetMany after the end: %v, %v", items, err)
			}
			if store.Features().List {
				if keys := s.keysOf(store, key); len(keys) != 0 {
					s.Errorf("List after the end: %q", keys)
				}
			}
			if store.Features().Watch {
				s.watch(store, key).want(kv.EventSynced, "", "") // and nothing before it
			}
			_, err := store.Put(s.ctx(), key, []byte("w"), kv.IfRevision(rev))
			s.wantErr(err, kv.ErrConflict, "put")
			s.wantErr(store.Delete(s.ctx(), key, kv.IfRevision(rev)), kv.ErrConflict, "delete")
			s.wantMissing(store, key)
			s.put(store, key, "again", kv.IfAbsent())
			s.want(store, key, "again")
		}
	}},
	{"RemainingLifeIsTold", func(s *suite) {
		store := s.open()
		step := store.Features().ExpiryStep
		for _, d := range []time.Duration{20 * time.Second, time.Hour, 31 * 24 * time.Hour, 60 * 24 * time.Hour, 5 * 365 * 24 * time.Hour} {
			key := d.String()
			s.put(store, key, "v", kv.TTL(d))
			item := s.get(store, key)
			left := time.Until(item.Expires)
			if item.Expires.IsZero() || left > d+step || left < d-10*time.Second {
				s.Errorf("TTL %v: %v left, want that", d, left)
			}
			items, err := store.GetMany(s.ctx(), key)
			if left := time.Until(items[key].Expires); err != nil || left > d+step || left < d-10*time.Second {
				s.Errorf("TTL %v: GetMany says %v left, %v", d, left, err)
			}
		}
	}},
	{"PutWithoutLifeLivesOn", func(s *suite) {
		store := s.open()
		s.put(store, "k", "1", kv.TTL(time.Hour))
		s.put(store, "k", "2")
		if item := s.get(store, "k"); !item.Expires.IsZero() {
			s.Fatalf("the second Put had no TTL, but the item ends at %v", item.Expires)
		}
		s.put(store, "k", "3", kv.TTL(time.Hour))
		if item := s.get(store, "k"); item.Expires.IsZero() {
			s.Fatal("the third Put had a TTL, but the item has no end")
		}
	}},
	{"LifeOfConditionalPut", func(s *suite) {
		store := s.open()
		r := s.put(store, "k", "1", kv.IfAbsent(), kv.TTL(time.Hour))
		if s.get(store, "k").Expires.IsZero() {
			s.Fatal("IfAbsent lost the TTL")
		}
		s.put(store, "k", "2", kv.IfRevision(r), kv.TTL(2*time.Hour))
		if left := time.Until(s.get(store, "k").Expires); left < 90*time.Minute {
			s.Fatalf("IfRevision with TTL 2h left %v", left)
		}
	}},
	{"LongestLifeIsNotForEverNorNow", func(s *suite) {
		store := s.open()
		s.put(store, "k", "v", kv.TTL(1<<63-1))
		if item := s.get(store, "k"); item.Expires.IsZero() || time.Until(item.Expires) < 24*time.Hour {
			s.Fatalf("the longest TTL ends at %v", item.Expires)
		}
	}},
	{"CounterKeepsItsLife", func(s *suite) {
		store := s.open()
		for range 2 {
			if _, err := store.Add(s.ctx(), "n", 1, kv.TTL(time.Hour)); err != nil {
				s.Fatal(err)
			}
		}
		if left := time.Until(s.get(store, "n").Expires); left < 50*time.Minute || left > 61*time.Minute {
			s.Fatalf("a counter with TTL 1h has %v left", left)
		}
		if _, err := store.Add(s.ctx(), "m", 1); err != nil {
			s.Fatal(err)
		}
		if _, err := store.Add(s.ctx(), "m", 1, kv.TTL(time.Hour)); err != nil {
			s.Fatal(err)
		}
		if item := s.get(store, "m"); !item.Expires.IsZero() {
			s.Fatalf("a counter made without TTL got one from a later Add: %v", item.Expires)
		}
	}},
}

var batchCases = []testCase{
	{"GetManyGivesWhatExists", func(s *suite) {
		store := s.open()
		s.put(store, "a", "1")
		s.put(store, "c", "3")
		items, err := store.GetMany(s.ctx(), "a", "b", "c", "a")
		if err != nil || len(items) != 2 || string(items["a"].Value) != "1" || string(items["c"].Value) != "3" || items["a"].Key != "a" {
			s.Fatalf("got %v, %v", items, err)
		}
		if items, err := store.GetMany(s.ctx()); err != nil || len(items) != 0 {
			s.Fatalf("GetMany of nothing: %v, %v", items, err)
		}
	}},
	{"PutManyThenGetMany", func(s *suite) {
		store := s.open()
		values, keys := map[string][]byte{}, []string{}
		for i := range 200 {
			key := fmt.Sprintf("k%03d", i)
			values[key], keys = []byte(fmt.Sprint("v", i)), append(keys, key)
		}
		if err := store.PutMany(s.ctx(), values, kv.TTL(time.Hour)); err != nil {
			s.Fatal(err)
		}
		items, err := store.GetMany(s.ctx(), keys...)
		if err != nil || len(items) != len(keys) {
			s.Fatalf("GetMany gave %d of %d, %v", len(items), len(keys), err)
		}
		for key, v := range values {
			if string(items[key].Value) != string(v) || items[key].Expires.IsZero() {
				s.Fatalf("%s is %+v, want %q with an end", key, items[key], v)
			}
		}
		if err := store.PutMany(s.ctx(), nil); err != nil {
			s.Fatalf("PutMany of nothing: %v", err)
		}
	}},
	{"LargeBatchesAreSplit", func(s *suite) {
		store := s.open()
		limit := store.Features().MaxValue
		if limit == 0 || limit > 1<<20 {
			limit = 1 << 20
		}
		values := map[string][]byte{}
		for i, n := range []int{limit, 1, limit, limit/2 + 1, limit / 2, limit / 2, 1} {
			key := fmt.Sprint("k", i)
			values[key] = bytes.Repeat([]byte(key), n)[:n]
		}
		if err := store.PutMany(s.ctx(), values); err != nil {
			s.Fatal(err)
		}
		items, err := store.GetMany(s.ctx(), slices.Collect(maps.Keys(values))...)
		if err != nil || len(items) != len(values) {
			s.Fatalf("GetMany gave %d of %d, %v", len(items), len(values), err)
		}
		for key, v := range values {
			if !bytes.Equal(items[key].Value, v) {
				s.Fatalf("%s has %d bytes, %.20q, want %d", key, len(items[key].Value), items[key].Value, len(v))
			}
		}
	}},
}
