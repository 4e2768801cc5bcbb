package locktest

import (
	"context"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

var leaderCases = []testCase{
	{"LeaderIsElectedSeenAndResigns", leaderLife},
	{"LeaderWatchSeesEveryTerm", leaderWatch},
	{"LeaderThatIsCutOffIsToldBeforeItsSuccessor", leaderLoss},
	{"LeaderCloseResignsAndEndsElect", leaderClose},
}

func (s *suite) leader(x dsync.Sync, opts ...dsync.LeaderOption) dsync.Leader {
	s.Helper()
	l, err := x.Leader("x", append([]dsync.LeaderOption{dsync.TTL(s.h.TTL)}, opts...)...)
	if err != nil {
		s.Fatalf("Leader: %v", err)
	}
	s.Cleanup(func() { l.Close() })
	return l
}

func (s *suite) elect(l dsync.Leader) dsync.Elected {
	s.Helper()
	e, err := l.Elect(s.context())
	if err != nil {
		s.Fatalf("Elect: %v", err)
	}
	return e
}

func (s *suite) status(l dsync.Leader, want dsync.Status) {
	s.Helper()
	s.waitFor(patience, "status "+want.String(), func() bool { return l.Status() == want })
}

func leaderLife(s *suite) {
	a, b := s.leader(s.open(), dsync.Owner("a:1/ä"), dsync.TTL(long)), s.leader(s.open(), dsync.Owner("b"), dsync.TTL(long))
	s.status(a, dsync.StatusFollower)
	_, err := a.Leader(s.context())
	s.want("Leader before an election", err, dsync.ErrNoLeader)
	e := s.elect(a)
	s.status(a, dsync.StatusElected)
	for _, l := range []dsync.Leader{a, b} {
		if c, err := l.Leader(s.context()); err != nil || c != (dsync.Candidate{Owner: "a:1/ä", Token: e.Token()}) {
			s.Errorf("Leader = %+v, %v, want a with %d", c, err, e.Token())
		}
	}
	next := make(chan dsync.Elected, 1)
	go func() {
		e, err := b.Elect(s.context())
		if err != nil {
			s.Errorf("Elect: %v", err)
		}
		next <- e
	}()
	s.status(b, dsync.StatusCandidate)
	if err := e.Resign(s.context()); err != nil {
		s.Errorf("Resign: %v", err)
	}
	s.ended("the context of who resigned", e.Context(), context.Canceled)
	s.status(a, dsync.StatusFollower)
	e2 := <-next
	if e2 == nil {
		return
	}
	s.status(b, dsync.StatusElected)
	if c, err := a.Leader(s.context()); err != nil || c != (dsync.Candidate{Owner: "b", Token: e2.Token()}) || e2.Token() <= e.Token() {
		s.Errorf("Leader = %+v, %v, want b with %d, more than %d", c, err, e2.Token(), e.Token())
	}
	if err := e2.Resign(s.context()); err != nil {
		s.Errorf("Resign: %v", err)
	}
	_, err = a.Leader(s.context())
	s.want("Leader after all resigned", err, dsync.ErrNoLeader)
}

func leaderWatch(s *suite) {
	a, b := s.leader(s.open(), dsync.Owner("a"), dsync.TTL(long)), s.leader(s.open(), dsync.Owner("b"), dsync.TTL(long))
	watcher := s.leader(s.open())
	seen := make(chan dsync.Candidate)
	ctx, cancel := context.WithCancel(s.context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c, err := range watcher.Watch(ctx) {
			if err != nil {
				s.Errorf("Watch: %v", err)
			}
			select {
			case seen <- c:
			case <-ctx.Done():
			}
		}
	}()
	expect := func(want dsync.Candidate) {
		s.Helper()
		select {
		case c := <-seen:
			if c != want {
				s.Errorf("saw %+v, want %+v", c, want)
			}
		case <-time.After(patience):
			s.Errorf("saw nothing, want %+v", want)
		}
	}
	expect(dsync.Candidate{})
	for range 2 {
		e := s.elect(a)
		expect(dsync.Candidate{Owner: "a", Token: e.Token()})
		e.Resign(s.context())
		expect(dsync.Candidate{})
	}
	e := s.elect(b)
	expect(dsync.Candidate{Owner: "b", Token: e.Token()})
	for c, err := range watcher.Watch(s.context()) { // a second one begins with the state; the caller may leave
		if err != nil || c != (dsync.Candidate{Owner: "b", Token: e.Token()}) {
			s.Errorf("a second Watch begins with %+v, %v", c, err)
		}
		break
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(patience):
		s.Error("Watch did not end with its context")
	}
}

func leaderLoss(s *suite) {
	var fault Faults
	a, b := s.leader(s.open(dsync.WithAround(fault.Around))), s.leader(s.open())
	e := s.elect(a)
	fault.CutOff(true)
	e2 := s.elect(b)
	if e.Context().Err() == nil {
		s.slow("there is a new leader and the old one's context lives")
	}
	s.want("cause", context.Cause(e.Context()), dsync.ErrLost)
	s.status(a, dsync.StatusFollower)
	if c, err := b.Leader(s.context()); err != nil || c.Token != e2.Token() {
		s.Errorf("Leader = %+v, %v, want the new one", c, err)
	}
	fault.CutOff(false)
	s.want("Resign of a lost term", e.Resign(s.context()), dsync.ErrLost)
}

func leaderClose(s *suite) {
	x := s.open()
	a, b := s.leader(x, dsync.TTL(long)), s.leader(x, dsync.TTL(long))
	e := s.elect(a)
	waiting := make(chan error, 1)
	go func() {
		_, err := b.Elect(s.context())
		waiting <- err
	}()
	s.status(b, dsync.StatusCandidate)
	if err := b.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	s.want("Elect that Close ended", <-waiting, dsync.ErrClosed)
	if err := a.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	s.ended("a closed candidate's term", e.Context(), dsync.ErrClosed)
	c := s.leader(x)
	if _, err := c.Leader(s.context()); err == nil {
		s.Error("a candidate that was closed still leads")
	}
	s.elect(c)
}
