package sync_test

import (
	"context"
	"errors"
	"testing"

	dsync "github.com/micro/go-platform/sync"
)

// What is closed elects, tells and lists nobody, and says so.
func TestWhatIsClosedAnswersNothing(t *testing.T) {
	s := mustNew(t)
	l, err := s.Leader("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Leader(t.Context()); !errors.Is(err, dsync.ErrNoLeader) {
		t.Errorf("before it is closed: %v, want ErrNoLeader", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, elected := l.Elect(t.Context())
	_, leader := l.Leader(t.Context())
	ran := dsync.RunElected(t.Context(), l, func(context.Context, uint64) error { t.Error("it ran"); return nil })
	for what, err := range map[string]error{"Elect": elected, "Leader": leader, "RunElected": ran} {
		if !errors.Is(err, dsync.ErrClosed) {
			t.Errorf("%s of a closed candidate: %v, want ErrClosed", what, err)
		}
	}
	for _, err := range s.List(t.Context()) {
		t.Errorf("an empty list: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, err := range s.List(t.Context()) {
		said++
		if !errors.Is(err, dsync.ErrClosed) {
			t.Errorf("List: %v, want ErrClosed", err)
		}
	}
	if said != 1 {
		t.Errorf("List said %d times that it is closed", said)
	}
}

// RunElected ends with the error of its function, and of its context while it waits.
func TestRunElectedEnds(t *testing.T) {
	s := mustNew(t)
	holder, err := s.Leader("x")
	if err != nil {
		t.Fatal(err)
	}
	own := errors.New("own")
	if err := dsync.RunElected(t.Context(), holder, func(context.Context, uint64) error { return own }); !errors.Is(err, own) {
		t.Errorf("got %v, want the function's", err)
	}
	if _, err := holder.Elect(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := s.Leader("x", dsync.Owner("other"))
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := dsync.RunElected(ended, other, func(context.Context, uint64) error { t.Error("it ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that of the context", err)
	}
}
