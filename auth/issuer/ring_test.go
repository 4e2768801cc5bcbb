package issuer

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
)

// Which keys there are, by time: the first at once, the next announced before it signs,
// and an old one for as long as its tokens live.
func TestTheTurnsOfKeys(t *testing.T) {
	start := time.Unix(1_000_000, 0).UTC()
	const life, keep = 100 * time.Minute, 20 * time.Minute
	const lead = 10 * time.Minute // announce, and less than a quarter of life
	r := &ring{}
	for _, c := range []struct {
		at      time.Duration
		changed bool
		from    []time.Duration // of the keys that there are
		signs   int
	}{
		{0, true, []time.Duration{0}, 0},
		{0, false, []time.Duration{0}, 0},
		{life - lead, false, []time.Duration{0}, 0},
		{life - lead + 1, true, []time.Duration{0, life + 1}, 0},
		{life, false, []time.Duration{0, life + 1}, 0},
		{life + 1, false, []time.Duration{0, life + 1}, 1},
		{life + 1 + keep, false, []time.Duration{0, life + 1}, 1},
		{life + 2 + keep, true, []time.Duration{life + 1}, 0},
	} {
		now := start.Add(c.at)
		changed, err := r.turn(EdDSA, now, life, keep)
		var from []time.Duration
		for _, k := range r.Keys {
			from = append(from, k.From.Sub(start))
		}
		if err != nil || changed != c.changed || !slices.Equal(from, c.from) {
			t.Fatalf("at %v: keys from %v, changed %v, %v, want %v, %v", c.at, from, changed, err, c.from, c.changed)
		}
		if s := r.signer(EdDSA, now); s != r.Keys[c.signs].signer {
			t.Errorf("at %v another key signs than number %d", c.at, c.signs)
		}
		if r.signer(RS256, now) != nil {
			t.Error("a key signs with another algorithm")
		}
	}
	// Of a short life a quarter is announced.
	r = &ring{}
	for at, n := range map[time.Duration]int{0: 1, 15 * time.Minute: 1, 15*time.Minute + 1: 2} {
		r := &ring{}
		_, err := r.turn(EdDSA, start, 20*time.Minute, keep)
		if err == nil {
			_, err = r.turn(EdDSA, start.Add(at), 20*time.Minute, keep)
		}
		if err != nil || len(r.Keys) != n {
			t.Errorf("after %v of 20 minutes there are %d keys, %v, want %d", at, len(r.Keys), err, n)
		}
	}
}

// A change of keys that is asked for: those that were to come go, of each algorithm there
// is a new one, and one that is revoked never signs again.
func TestKeysThatAreReplaced(t *testing.T) {
	start := time.Unix(1_000_000, 0).UTC()
	made := func() *ring {
		r := &ring{}
		for _, at := range []time.Duration{0, time.Hour, 2 * time.Hour} {
			if err := r.add(EdDSA, start.Add(at)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.add(ES256, start); err != nil {
			t.Fatal(err)
		}
		return r
	}
	now := start.Add(90 * time.Minute) // the second signs, the third is to come
	r := made()
	old := r.signer(EdDSA, now)
	if err := r.rotate(now, now.Add(settle)); err != nil {
		t.Fatal(err)
	}
	if n, m := len(r.line(EdDSA)), len(r.line(ES256)); n != 3 || m != 2 || len(r.line(RS256)) != 0 {
		t.Errorf("%d and %d keys, want two and a new one, and one and a new one", n, m)
	}
	if r.signer(EdDSA, now.Add(settle-1)) != old || r.signer(EdDSA, now.Add(settle)) == old {
		t.Error("the new key signs at another time than it should")
	}
	for n, signs := range []bool{false, true, false} {
		r := made()
		k := r.Keys[r.line(EdDSA)[n]]
		found, err := r.revoke(k.signer.Key().ID, now)
		want := 2
		if signs {
			want = 3 // and a new one
		}
		if err != nil || !found || len(r.line(EdDSA)) != want || r.signer(EdDSA, now) == nil {
			t.Errorf("key %d: %v, %v, %d keys are left, want %d", n, found, err, len(r.line(EdDSA)), want)
		}
		s := r.signer(EdDSA, now)
		from := r.Keys[slices.IndexFunc(r.Keys, func(k signingKey) bool { return k.signer == s })].From
		if wanted := map[bool]time.Time{true: now, false: start.Add(time.Hour)}[signs]; !from.Equal(wanted) {
			t.Errorf("key %d is revoked, and one from %v signs, want that from %v", n, from, wanted)
		}
	}
	if found, err := made().revoke("x", now); found || err != nil {
		t.Errorf("an unknown key: %v, %v", found, err)
	}
}

// How long a view of the keys is good.
func TestViewsOfKeys(t *testing.T) {
	now := time.Unix(1000, 0)
	r := ring{}
	if err := r.add(EdDSA, now); err != nil {
		t.Fatal(err)
	}
	v := &ringView{loaded: now, ring: r}
	for _, c := range []struct {
		v   *ringView
		alg string
		age time.Duration
		ok  bool
	}{
		{v, EdDSA, 0, true}, {v, EdDSA, time.Second, true}, {v, EdDSA, time.Second + 1, false}, {v, EdDSA, -1, false},
		{v, "", 0, true}, {v, RS256, 0, false}, {nil, "", 0, false}, {&ringView{loaded: now}, "", 0, true},
	} {
		if got := c.v.fresh(c.alg, now.Add(c.age), time.Second); got != c.ok {
			t.Errorf("%q at %v: %v, want %v", c.alg, c.age, got, c.ok)
		}
	}
}

// counted is a store that counts reads of the keys, and can hold them up or fail.
type counted struct {
	Store
	gate  chan struct{}
	reads int
	err   error
}

func (s *counted) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if key == ringKey {
		s.reads++
		if s.gate != nil {
			<-s.gate
		}
		if s.err != nil {
			return nil, 0, s.err
		}
	}
	return s.Store.Get(ctx, key)
}

// The keys are read by one at a time, however many ask, and not again while they are
// young; for the sake of an unknown key not more often than bounded.
func TestKeysAreReadByOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counted{Store: Memory(), gate: make(chan struct{})}
		i := newOne(t, WithStore(store))
		errs := make(chan error, 10)
		for range 10 {
			go func() { _, err := i.KeySet(t.Context()); errs <- err }()
		}
		synctest.Wait()
		close(store.gate)
		for range 10 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if store.reads != 1 {
			t.Errorf("the keys were read %d times by ten who ask, want once", store.reads)
		}
		unknown := func() { keySource{i}.Keys(t.Context(), "unknown") }
		for _, c := range []struct {
			sleep time.Duration
			ask   func()
			reads int
		}{
			{ringAgain, unknown, 1}, {1, unknown, 2}, {0, unknown, 2},
			{ringLife, func() { i.KeySet(t.Context()) }, 2}, {1, func() { i.KeySet(t.Context()) }, 3},
		} {
			time.Sleep(c.sleep)
			c.ask()
			if store.reads != c.reads {
				t.Errorf("%v later the keys were read %d times, want %d", c.sleep, store.reads, c.reads)
			}
		}
		// While somebody reads them, others go on with those of the last second.
		store.gate = make(chan struct{})
		time.Sleep(ringBusy)
		go func() { _, err := i.KeySet(t.Context()); errs <- err }()
		synctest.Wait()
		if _, err := i.KeySet(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond)
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := i.KeySet(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("older ones: %v, want to wait for who reads", err)
		}
		if ks, err := (keySource{i}).Keys(ended, "unknown"); !errors.Is(err, context.Canceled) || ks != nil {
			t.Errorf("an unknown key: %v, %v, want to wait for who reads", ks, err)
		}
		close(store.gate)
		if err := <-errs; err != nil {
			t.Error(err)
		}
		// And for a minute while the store is unavailable.
		store.err = errors.New("down")
		for _, c := range []struct {
			sleep time.Duration
			ok    bool
		}{{ringStale - 1, true}, {1, false}} {
			time.Sleep(c.sleep)
			if _, err := i.KeySet(t.Context()); (err == nil) != c.ok || err != nil && !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("%v later, unavailable: %v", c.sleep, err)
			}
			if ks, err := (keySource{i}).Keys(t.Context(), "unknown"); err == nil || ks != nil || !c.ok && !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("%v later, unavailable, an unknown key: %v, %v", c.sleep, ks, err)
			}
		}
	})
}
