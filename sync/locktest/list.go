package locktest

import (
	"slices"
	"strings"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

var listCases = []testCase{
	{"ListShowsWhatEverybodyHolds", listHolds},
	{"ListShowsWhoWaitsOrNobody", listWaits},
	{"ListUnsupportedSaysSo", listUnsupported},
}

func (s *suite) list(x dsync.Sync) []dsync.Hold {
	s.Helper()
	var all []dsync.Hold
	for h, err := range x.List(s.context()) {
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		all = append(all, h)
	}
	return all
}

func listUnsupported(s *suite) {
	x := s.open()
	if x.Features().Lists {
		return // the other cases are about that
	}
	for h, err := range x.List(s.context()) {
		s.want("List", err, dsync.ErrUnsupported)
		if h != (dsync.Hold{}) {
			s.Errorf("List = %+v with an error", h)
		}
		return
	}
	s.Errorf("List = nothing, want ErrUnsupported")
}

func listHolds(s *suite) {
	a, b := s.open(), s.open()
	if !b.Features().Lists {
		return
	}
	if all := s.list(b); len(all) > 0 {
		s.Errorf("List = %+v before anything is held", all)
	}
	began := time.Now()
	odd := s.lock(a, "../ä/%2F x", dsync.Owner("a:1/ä"))
	plain := s.lock(a, "x", dsync.Owner("b"))
	led := s.elect(s.leader(a, dsync.Owner("c"), dsync.TTL(long)))
	want := []dsync.Hold{
		{Kind: dsync.KindLeader, ID: "x", Owner: "c", Token: led.Token()},
		{Kind: dsync.KindLock, ID: "../ä/%2F x", Owner: "a:1/ä", Token: odd.Token()},
		{Kind: dsync.KindLock, ID: "x", Owner: "b", Token: plain.Token()},
	}
	if b.Features().Limits {
		for range 2 {
			p, err := a.Semaphore(s.context(), "x", 3, dsync.Owner("d"))
			if err != nil {
				s.Fatal(err)
			}
			defer s.unlock(p)
			want = append(want, dsync.Hold{Kind: dsync.KindSemaphore, ID: "x", Owner: "d", Token: p.Token()})
		}
	}
	s.lock(s.openIn(s.namespace+"/x"), "elsewhere")
	s.listed(b, began, want)
	s.unlock(plain)
	s.listed(b, began, slices.DeleteFunc(want, func(h dsync.Hold) bool { return h.Kind == dsync.KindLock && h.ID == "x" }))
	s.unlock(odd)
}

// listed compares what is listed, but for what a backend need not know. A Lease
// says its holder's token a renewal late.
func (s *suite) listed(x dsync.Sync, began time.Time, want []dsync.Hold) {
	s.Helper()
	all := s.list(x)
	for i := range all {
		h := &all[i]
		if !h.Since.IsZero() && (h.Since.Before(began.Add(-time.Minute)) || h.Since.After(time.Now().Add(time.Minute))) {
			s.Errorf("List: %+v: held since %v", h, h.Since)
		}
		if !h.Until.IsZero() && (h.Until.Before(time.Now().Add(-time.Second)) || h.Until.After(time.Now().Add(time.Minute))) {
			s.Errorf("List: %+v: until %v", h, h.Until)
		}
		if h.Kind == dsync.KindSemaphore && h.Owner == "" {
			h.Owner = "d"
		}
		h.Since, h.Until = time.Time{}, time.Time{}
	}
	order := func(a, b dsync.Hold) int {
		if c := strings.Compare(string(a.Kind)+" "+a.ID, string(b.Kind)+" "+b.ID); c != 0 {
			return c
		}
		return int(int64(a.Token) - int64(b.Token))
	}
	if !slices.IsSortedFunc(all, func(a, b dsync.Hold) int { return strings.Compare(string(a.Kind)+" "+a.ID, string(b.Kind)+" "+b.ID) }) {
		s.Errorf("List = %+v, want it by kind and id", all)
	}
	slices.SortFunc(all, order)
	slices.SortFunc(want, order)
	if !slices.Equal(all, want) {
		s.Errorf("List = %+v, want %+v", all, want)
	}
}

func listWaits(s *suite) {
	a, b := s.open(), s.open()
	if !b.Features().Lists {
		return
	}
	l := s.lock(a, "x", dsync.Owner("holder"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l, err := b.Lock(s.context(), "x", dsync.Owner("waiter")); err != nil {
			s.Errorf("Lock: %v", err)
		} else {
			s.unlock(l)
		}
	}()
	s.waitFor(10*time.Second, "a waiter", func() bool { return len(b.Holds()) == 1 })
	if a.Features().Fair { // there is a queue, so it is in it soon
		s.waitFor(10*time.Second, "two in the list", func() bool { return len(s.list(a)) == 2 })
	}
	all := s.list(a)
	if len(all) == 0 || all[0].Waiting || all[0].Owner != "holder" || all[0].Token != l.Token() {
		s.Errorf("List = %+v, want the holder first", all)
	}
	for _, h := range all[min(1, len(all)):] {
		if !h.Waiting || h.Owner != "waiter" || h.ID != "x" || h.Kind != dsync.KindLock {
			s.Errorf("List = %+v, want a waiter behind the holder", all)
		}
	}
	s.unlock(l)
	<-done
	s.waitFor(10*time.Second, "an empty list", func() bool { return len(s.list(a)) == 0 })
}
