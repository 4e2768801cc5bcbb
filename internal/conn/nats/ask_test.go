package nats_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
)

// A cluster drops a question that comes while nobody leads what it is about.
func TestAQuestionThatIsDroppedIsAskedAgain(t *testing.T) {
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		dropped int           // questions
		answer  error         // to the one after them
		given   time.Duration // for all; 0: no deadline
		want    error
		asked   int
		took    time.Duration
	}{
		"answered":                    {0, nil, time.Minute, nil, 1, 0},
		"dropped once":                {1, nil, time.Minute, nil, 2, time.Second},
		"dropped three times":         {3, nil, time.Minute, nil, 4, 7 * time.Second},
		"refused":                     {0, refused, time.Minute, refused, 1, 0},
		"dropped and refused":         {1, refused, time.Minute, refused, 2, time.Second},
		"never answered":              {100, nil, 10 * time.Second, context.DeadlineExceeded, 4, 10 * time.Second},
		"never, without a deadline":   {100, nil, 0, context.DeadlineExceeded, 3, 5 * time.Second},
		"answered at the last moment": {2, nil, 3*time.Second + 1, nil, 3, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if c.given > 0 {
				bounded, cancel := context.WithTimeout(ctx, c.given)
				defer cancel()
				ctx = bounded
			}
			asked, began := 0, time.Now()
			answer, err := nats.Ask(ctx, func(ctx context.Context) (int, error) {
				asked++
				if asked <= c.dropped {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				return 7, c.answer
			})
			if !errors.Is(err, c.want) || (err == nil) != (answer == 7) && c.answer == nil || asked != c.asked || time.Since(began) != c.took {
				t.Errorf("%s: %d, %v after %d questions and %v; want %v, %d, %v", name, answer, err, asked, time.Since(began), c.want, c.asked, c.took)
			}
		})
	}
}

// Who gives up is not kept waiting.
func TestAQuestionEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		began := time.Now()
		_, err := nats.Ask(ctx, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		if !errors.Is(err, context.Canceled) || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
