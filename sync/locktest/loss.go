package locktest

import (
	"context"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

var lossCases = []testCase{
	{"RenewalKeepsALockForManyTTLs", renewal},
	{"ACutOffHolderStopsBeforeItsSuccessorStarts", cutOff},
	{"AHolderThatIsBackInTimeGoesOn", backInTime},
	{"ALostReplyLeavesNoGhost", lostReply},
	{"AnUnreachableReleaseGoesOnInTheBackground", lateRelease},
}

func renewal(s *suite) {
	a, b := s.open(), s.open()
	l := s.lock(a, "x", dsync.TTL(s.h.TTL))
	for range 2 {
		select {
		case <-l.Context().Done():
			s.Fatalf("lost: %v", context.Cause(l.Context()))
		case <-time.After(s.h.TTL):
		}
		s.held(b, "x")
	}
	s.unlock(l)
	s.free(b, "x")
}

func cutOff(s *suite) {
	var fault Faults
	a, b := s.open(dsync.WithAround(fault.Around)), s.open()
	l := s.lock(a, "x", dsync.TTL(s.h.TTL))
	next := make(chan dsync.Lock, 1)
	go func() {
		l2, err := b.Lock(s.context(), "x", dsync.TTL(s.h.TTL))
		if err != nil {
			s.Errorf("successor: %v", err)
		} else if l.Context().Err() == nil {
			s.Error("the successor holds the lock and the holder's context lives")
		}
		next <- l2
	}()
	fault.CutOff(true)
	start := time.Now()
	s.ended("the context of a holder that is cut off", l.Context(), s.h.TTL+s.h.Late, dsync.ErrLost)
	select {
	case l2 := <-next:
		if l2 == nil {
			return
		}
		if d := time.Since(start); d > s.h.TTL+s.h.Late+s.Features().Delay {
			s.Errorf("the successor waited %v, want at most TTL %v + %v", d, s.h.TTL, s.h.Late)
		}
		if l2.Token() <= l.Token() {
			s.Errorf("token %d after %d", l2.Token(), l.Token())
		}
		fault.CutOff(false)
		s.want("Unlock of a lost lock", l.Unlock(s.context()), dsync.ErrLost)
		s.want("second Unlock of a lost lock", l.Unlock(s.context()), dsync.ErrLost)
		s.held(a, "x") // the release of the lost lock didn't touch the successor's
		if err := l2.Context().Err(); err != nil {
			s.Errorf("the successor lost the lock: %v", context.Cause(l2.Context()))
		}
		s.unlock(l2)
	case <-time.After(s.h.TTL + s.h.Late + s.Features().Delay + 10*time.Second):
		s.Fatal("nobody got the lock of a holder that is cut off")
	}
}

// Features of the backend.
func (s *suite) Features() dsync.Features { return s.open().Features() }

func backInTime(s *suite) {
	var fault Faults
	x := s.open(dsync.WithAround(fault.Around))
	l := s.lock(x, "x", dsync.TTL(s.h.TTL))
	fault.CutOff(true)
	time.AfterFunc(s.h.TTL*45/100, func() { fault.CutOff(false) }) // one renewal has failed
	select {
	case <-l.Context().Done():
		s.Errorf("lost, although the backend was back in time: %v", context.Cause(l.Context()))
	case <-time.After(s.h.TTL * 3 / 2):
	}
	s.unlock(l)
}

func lostReply(s *suite) {
	var fault Faults
	a, b := s.open(dsync.WithAround(fault.Around)), s.open()
	fault.LoseReplies(true)
	for range 3 {
		_, err := a.TryLock(s.context(), "x", dsync.TTL(s.h.TTL))
		s.want("TryLock whose reply was lost", err, dsync.ErrUnknownOutcome)
	}
	fault.LoseReplies(false)
	s.free(b, "x")
	l := s.lock(a, "x")
	s.unlock(l)
}

func lateRelease(s *suite) {
	var fault Faults
	a, b := s.open(dsync.WithAround(fault.Around)), s.open()
	l := s.lock(a, "x") // the default TTL is long
	fault.CutOff(true)
	s.want("Unlock without a backend", l.Unlock(s.context()), dsync.ErrUnavailable)
	if l.Context().Err() == nil {
		s.Error("the context lives on after Unlock")
	}
	fault.CutOff(false)
	s.waitFor(7*time.Second, "released in the background", func() bool {
		l, err := b.TryLock(s.context(), "x")
		if err != nil {
			return false
		}
		s.unlock(l)
		return true
	})
}
