package sync

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// empty is a driver that has no claim to give.
type empty struct{ Driver }

func (empty) Claim(Request) Claim { return nil }

// What ends a call early says why, and nothing is held then.
func TestErrorsOfCalls(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(ctx context.Context, s Sync) error
		want error
	}{
		"list for a caller who gave up": {func(ctx context.Context, s Sync) error {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			return listing(ended, s)
		}, context.Canceled},
		"list": {listing, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := c.do(t.Context(), s); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if held := s.Holds(); len(held) != 0 {
				t.Errorf("held: %+v", held)
			}
		})
	}
}

// listing is the error that a list of holds ends with.
func listing(ctx context.Context, s Sync) (last error) {
	for _, err := range s.List(ctx) {
		last = err
	}
	return last
}

func TestADriverWithoutAClaimHoldsNothing(t *testing.T) {
	s, err := New(WithAround(func(d Driver) Driver { return empty{d} }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lock, err := s.Lock(t.Context(), "x")
	if err == nil || lock != nil {
		t.Errorf("got %v, %v, want an error", lock, err)
	}
	if held := s.Holds(); len(held) != 0 {
		t.Errorf("held or waited for: %+v", held)
	}
}

// Between two campaigns RunElected waits, and its caller may end it there.
func TestRunElectedEndsBetweenCampaigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		d := &told{scripted: scripted{acquire: func(context.Context, Claim, bool) (Grant, error) {
			tries++
			return Grant{}, errDown
		}}}
		l, err := d.open(t, WithTimeout(time.Second)).Leader("x")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = RunElected(ctx, l, func(context.Context, uint64) error {
			t.Error("it leads, without a backend")
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || tries < 2 {
			t.Errorf("after %d tries: %v, want the caller's deadline", tries, err)
		}
	})
}
