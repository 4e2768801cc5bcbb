package locktest

import (
	"strings"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

// oddIDs are ids that a backend's keys must keep apart.
var oddIDs = []string{
	"a", "a/", "a/b", "/a", "/", ".", "..", "a//b", "A", " ", "a b", "a\nb", "ä", "日本", "%2F", "a%2Fb", "a:b", "{a}", "*", "?", "a\x7f",
	"lock", "leader", "semaphore", strings.Repeat("x", 250), strings.Repeat("ü", 125),
}

var inputCases = []testCase{
	{"BadInputIsInvalid", badInput},
	{"ShortTTLIsRaised", shortTTL},
}

func badInput(s *suite) {
	x := s.open()
	for _, id := range []string{"", strings.Repeat("x", 251), "a\xff", "a\x00b"} {
		_, err := x.Lock(s.context(), id)
		s.want("Lock of a bad id", err, dsync.ErrInvalid)
		_, err = x.TryLock(s.context(), id)
		s.want("TryLock of a bad id", err, dsync.ErrInvalid)
		_, err = x.Semaphore(s.context(), id, 1)
		s.want("Semaphore of a bad id", err, dsync.ErrInvalid)
		_, err = x.Leader(id)
		s.want("Leader of a bad id", err, dsync.ErrInvalid)
	}
	for i, o := range []dsync.LockOption{
		nil, dsync.TTL(0), dsync.TTL(-time.Second), dsync.TTL(25 * time.Hour), dsync.Wait(0), dsync.Wait(-1),
		dsync.Owner(""), dsync.Owner("a\xff"),
	} {
		if _, err := x.Lock(s.context(), "x", o); err == nil {
			s.Errorf("bad option %d was accepted", i)
		} else {
			s.want("Lock with a bad option", err, dsync.ErrInvalid)
		}
	}
	for _, limit := range []int{0, -1} {
		_, err := x.Semaphore(s.context(), "x", limit)
		s.want("Semaphore of a bad limit", err, dsync.ErrInvalid)
	}
}

func shortTTL(s *suite) {
	x := s.open()
	// The shortest life of a quorum is over before a busy machine has agreed.
	l, err := x.Lock(s.context(), "x", dsync.TTL(time.Millisecond))
	for tries := 0; err != nil && tries < 20; tries++ {
		l, err = x.Lock(s.context(), "x", dsync.TTL(time.Millisecond))
	}
	if err != nil {
		s.Fatal(err)
	}
	if d := x.Features().MinTTL; d > 100*time.Millisecond {
		select {
		case <-l.Context().Done():
			s.Errorf("ended (%v) although the backend keeps %v", l.Context().Err(), d)
		case <-time.After(d / 4):
		}
	}
	l.Unlock(s.context())
}
