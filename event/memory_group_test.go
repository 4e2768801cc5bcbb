package event

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// joined returns two members of a group on a stream of n records.
func joined(t *testing.T, n int, exclusive bool) (m *memory, a, b Member) {
	t.Helper()
	m = newMemory(Retention{})
	for range n {
		if _, err := m.Append(t.Context(), []*Record{{ID: "1", Type: "t"}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*Member{&a, &b} {
		var err error
		*p, err = m.Join(t.Context(), GroupConfig{Name: "g", Start: Beginning(), Exclusive: exclusive})
		if err != nil {
			t.Fatal(err)
		}
	}
	return m, a, b
}

// A member that waits is woken by what another gives back, by Release as by Close.
func TestReleasedRecordsWakeWhoWaits(t *testing.T) {
	for name, giveBack := range map[string]func(a Member, ds []Delivered) error{
		"release": func(a Member, ds []Delivered) error { return a.Release(t.Context(), ds) },
		"close":   func(a Member, ds []Delivered) error { return a.Close(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, a, b := joined(t, 3, false)
				ds, err := a.Fetch(t.Context(), 10)
				if err != nil || len(ds) != 3 {
					t.Fatalf("fetched %d, %v, want 3", len(ds), err)
				}
				got := make(chan []Delivered, 1)
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					ds, _ := b.Fetch(ctx, 10)
					got <- ds
				}()
				synctest.Wait() // it waits
				if err := giveBack(a, ds[1:]); err != nil {
					t.Fatal(err)
				}
				want := len(ds[1:])
				if name == "close" {
					want = len(ds)
				}
				if ds := <-got; len(ds) != want || ds[0].Attempt != 1 {
					t.Errorf("the other was handed %d records, want %d as if for the first time", len(ds), want)
				}
			})
		})
	}
}

func TestFetchEndsWithItsContextAndWithItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a, b := joined(t, 0, false)
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { _, err := a.Fetch(ctx, 1); errs <- err }()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("Fetch = %v, want the context's error", err)
		}
		go func() { _, err := b.Fetch(t.Context(), 1); errs <- err }()
		synctest.Wait()
		if err := m.DeleteGroup(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		if err := <-errs; !errors.Is(err, ErrNotFound) {
			t.Errorf("Fetch of a deleted group = %v, want ErrNotFound", err)
		}
	})
}

// The second exclusive member waits for the first, and is handed what it left.
func TestExclusiveMembersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := joined(t, 2, true)
		ds, err := a.Fetch(t.Context(), 1)
		if err != nil || len(ds) != 1 {
			t.Fatalf("fetched %d, %v, want 1", len(ds), err)
		}
		first := ds[0].position()
		got := make(chan []Delivered, 1)
		go func() { ds, _ := b.Fetch(t.Context(), 10); got <- ds }()
		synctest.Wait()
		select {
		case ds := <-got:
			t.Fatalf("the second was handed %d records in the first one's turn", len(ds))
		default:
		}
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ds := <-got; len(ds) < 1 || ds[0].position() != first {
			t.Errorf("the second was handed %v, want to begin with what the first had", ds)
		}
	})
}
