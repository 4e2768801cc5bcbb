package event_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/micro/go-platform/event"
)

// remade is a stream that had five records when a subscription began, and was deleted and
// made again since. It has nothing until somebody waits, and one record then.
type remade struct{ *plain }

func (remade) Read(_ context.Context, q event.ReadRequest) (event.Page, error) {
	switch {
	case q.Max == 0:
		return event.Page{Next: "5"}, nil
	case q.From.Kind == event.AfterPosition && q.From.ID == "5":
		return event.Page{Missed: 1}, nil
	case q.From.Kind == event.AfterPosition:
		return event.Page{Next: q.From.ID}, nil
	}
	return event.Page{Records: []*event.Record{{ID: "first", Type: "t", Position: "1"}}, Next: "1"}, nil
}

func (remade) Wait(ctx context.Context, after string) error {
	if after == "" {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// A subscription without a group that finds its stream made again and empty goes on with
// the first record, and does not wait for the position where it was.
func TestAnEmptyStreamThatWasMadeAgainIsReadFromItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := remade{&plain{more: make(chan struct{})}}
		s, err := event.New(event.WithDriver("remade", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		got := make(chan string, 10)
		sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r.ID; return nil })
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(got) != 1 || sub.Stats().Missed != 1 {
			t.Errorf("%d records were handled, %d missed, want one each", len(got), sub.Stats().Missed)
		}
	})
}
