package event_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
)

// slow is a driver whose first Read answers late, as a server that is busy.
type slow struct {
	*plain
	first sync.Once
}

func (s *slow) Read(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	var err error
	s.first.Do(func() {
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			err = ctx.Err()
		}
	})
	return event.Page{}, err
}

// The first request subscribes to replies. One that comes meanwhile ends when its own
// context does.
func TestRequestWaitsForAnothersSubscriptionNoLongerThanForItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := event.New(event.WithTimeout(2*time.Minute), event.WithDriver("slow", func(context.Context, event.Settings) (event.Driver, error) {
			return &slow{plain: &plain{more: make(chan struct{})}}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		began := time.Now()
		first := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
			defer cancel()
			_, err := s.Request(ctx, &event.Record{Type: "ask"})
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := s.Request(ctx, &event.Record{Type: "ask"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second request: %v, want its deadline", err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("the second request waited %v, want 1 s", waited)
		}
		if err := <-first; !errors.Is(err, event.ErrTimeout) { // it was published, and nobody replies
			t.Errorf("the first request: %v, want ErrTimeout", err)
		}
		if waited := time.Since(began); waited != 90*time.Second {
			t.Errorf("the first request waited %v, want 90 s", waited)
		}
	})
}
