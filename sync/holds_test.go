package sync_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/leak"
	dsync "github.com/micro/go-platform/sync"
)

func ExampleSync_holds() {
	ctx := context.Background()
	s, _ := dsync.New(dsync.WithDefaults(dsync.Owner("worker 1")))
	defer s.Close()
	s.Lock(ctx, "reports")
	for _, h := range s.Holds() {
		fmt.Println(h.Kind, h.ID, h.Token, h.Owner)
	}
	// Output: lock reports 1 worker 1
}

func TestHoldsListsWhatIsHeldAndWaitedFor(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := dsync.New(dsync.WithDefaults(dsync.TTL(10 * time.Second)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		lock, err1 := s.Lock(ctx, "b")
		_, err2 := s.Semaphore(ctx, "a", 2)
		l, err3 := s.Leader("c", dsync.Owner("me"))
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		defer l.Close()
		term, err := l.Elect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		go s.Lock(ctx, "b")
		synctest.Wait()
		start := time.Now()
		time.Sleep(time.Minute) // renewed meanwhile
		synctest.Wait()

		list := func() (out string) {
			for _, h := range s.Holds() {
				held := h.Until.After(time.Now()) && h.Token > 0
				if held == h.Waiting || !h.Since.Equal(start) {
					t.Errorf("%+v", h)
				}
				out += fmt.Sprint(h.Kind, " ", h.ID, " ", h.Waiting, "; ")
			}
			return out
		}
		if got, want := list(), "leader c false; lock b false; lock b true; semaphore a false; "; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		cancel()
		synctest.Wait()
		if err := lock.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := term.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := list(), "semaphore a false; "; got != want {
			t.Errorf("after unlock: got %s, want %s", got, want)
		}
		s.Close()
		if got := s.Holds(); len(got) != 0 {
			t.Errorf("after Close: %v", got)
		}
	})
}

// A holder whose renewals fail is not listed past its deadline.
func TestHoldsForgetsWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := dsync.New(dsync.WithAround(func(d dsync.Driver) dsync.Driver { return mute{d} }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Lock(t.Context(), "a", dsync.TTL(10*time.Second)); err != nil {
			t.Fatal(err)
		}
		if len(s.Holds()) != 1 {
			t.Fatal("not listed")
		}
		time.Sleep(8 * time.Second)
		if got := s.Holds(); len(got) != 0 {
			t.Errorf("at its deadline: %+v", got)
		}
	})
}

// mute is a driver whose renewals fail.
type mute struct{ dsync.Driver }

func (m mute) Claim(r dsync.Request) dsync.Claim { return muteClaim{m.Driver.Claim(r)} }

type muteClaim struct{ dsync.Claim }

func (muteClaim) Renew(context.Context) (time.Time, error) {
	return time.Time{}, dsync.ErrUnavailable
}
