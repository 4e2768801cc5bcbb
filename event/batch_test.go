package event_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
)

// The rest of a batch is fetched while its beginning waits for it, however many there
// are of each when the batch before it ends.
func TestTheRestOfABatchIsFetched(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	for held := 5; held < 10; held++ {
		synctest.Test(t, func(t *testing.T) {
			m := &moving{plain: &plain{more: make(chan struct{})}, turn: map[string]int{}, changed: make(chan struct{})}
			s, err := event.New(event.WithDriver("moving", func(context.Context, event.Settings) (event.Driver, error) { return m, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(context.Background())
			release, sizes := make(chan struct{}), make(chan int, 10)
			if _, err := s.SubscribeBatch(t.Context(), func(_ context.Context, rs []*event.Record) error {
				sizes <- len(rs)
				<-release
				return nil
			}, event.Group("g"), event.Batch(5), event.BatchWait(time.Hour)); err != nil {
				t.Fatal(err)
			}
			m.hand("p", ids[:3]...)
			synctest.Wait()
			m.hand("p", ids[3:held]...)
			synctest.Wait()
			m.hand("p", ids[held:]...)
			close(release)
			synctest.Wait()
			if len(sizes) != 2 {
				t.Fatalf("%d batches of 10 records began, %d of them held when the first ended; want 2", len(sizes), held)
			}
			if a, b := <-sizes, <-sizes; a != 5 || b != 5 {
				t.Errorf("batches of %d and %d, want 5 each", a, b)
			}
		})
	}
}
