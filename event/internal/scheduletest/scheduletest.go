// Package scheduletest checks what a backend makes of a schedule that others have
// written to.
package scheduletest

import (
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// Odd checks that the overdue entry "odd", which is no record, holds up no others,
// is listed with an error, and can be cancelled.
func Odd(t *testing.T, s event.Stream) {
	t.Helper()
	if err := s.PublishAt(t.Context(), time.Now().Add(time.Hour), &event.Record{ID: "later", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2"} { // both after the other one
		if err := s.PublishAt(t.Context(), time.Now(), &event.Record{ID: id, Type: "t"}); err != nil {
			t.Fatal(err)
		}
		published := func() bool {
			for _, err := range s.Query(t.Context(), event.ID(id)) {
				return err == nil
			}
			return false
		}
		for deadline := time.Now().Add(60 * time.Second); !published(); {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not published", id)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	listed := map[string]event.Scheduled{}
	for e, err := range s.Scheduled(t.Context()) {
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		listed[e.ID] = e
	}
	if e := listed["odd"]; len(listed) != 2 || e.Err == nil || e.Record != nil || listed["later"].Err != nil || listed["later"].Record == nil {
		t.Errorf("listed %+v, want the odd one with an error and the later one without", listed)
	}
	if err := s.Cancel(t.Context(), "odd"); err != nil {
		t.Errorf("Cancel: %v", err)
	}
	if err := s.Cancel(t.Context(), "odd"); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("Cancel again: %v, want ErrNotFound", err)
	}
}
