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
			s.slow("lost: %v", context.Cause(l.Context()))
		case <-time.After(s.h.TTL):
		}
		s.held(b, "x")
	}
	s.unlockKept(l)
	s.free(b, "x")
}

func cutOff(s *suite) {
	var fault Faults
	a, b := s.open(dsync.WithAround(fault.Around)), s.open()
	l := s.lock(a, "x", dsync.TTL(s.h.TTL))
	next, both := make(chan dsync.Lock, 1), false
	go func() {
		l2, err := b.Lock(s.context(), "x", dsync.TTL(s.h.TTL))
		if err != nil {
			s.Errorf("successor: %v", err)
		}
		both = l.Context().Err() == nil
		next <- l2
	}()
	fault.CutOff(true)
	start := time.Now()
	s.ended("the context of a holder that is cut off", l.Context(), dsync.ErrLost)
	lost := time.Since(start)
	select {
	case l2 := <-next:
		if l2 == nil {
			return
		}
		d := time.Since(start)
		switch {
		case both: // the holder's clock may have stood still, too
			s.slow("the successor holds the lock and the holder's context lives")
		case lost > s.h.TTL+s.h.Late:
			s.slow("the holder stopped after %v, want at most TTL %v + %v", lost, s.h.TTL, s.h.Late)
		case d > s.h.TTL+s.h.Late+s.Features().Delay:
			s.slow("the successor waited %v, want at most TTL %v + %v", d, s.h.TTL, s.h.Late)
		}
		if l2.Token() <= l.Token() {
			s.Errorf("token %d after %d", l2.Token(), l.Token())
		}
		fault.CutOff(false)
		s.want("Unlock of a lost lock", l.Unlock(s.context()), dsync.ErrLost)
		s.want("second Unlock of a lost lock", l.Unlock(s.context()), dsync.ErrLost)
		s.held(a, "x") // the release of the lost lock didn't touch the successor's
		if err := l2.Context().Err(); err != nil {
			s.slow("the successor lost the lock: %v", context.Cause(l2.Context()))
		}
		s.unlockKept(l2)
	case <-time.After(s.h.TTL + s.h.Late + s.Features().Delay + patience):
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
		s.slow("lost, although the backend was back in time: %v", context.Cause(l.Context()))
	case <-time.After(s.h.TTL * 3 / 2):
	}
	s.unlockKept(l)
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
	s.waitFor(patience, "released in the background", func() bool {
		l, err := b.TryLock(s.context(), "x")
		if err != nil {
			return false
		}
		s.unlock(l)
		return true
	})
}
