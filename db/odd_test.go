package db_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
)

// A function of OnIndexProgress that panics keeps no index from being built: Table says
// so once, and then the index is there.
func TestIndexProgressMayPanic(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		panicAt, calls int
	}{"well": {3, 2}, "at the beginning": {1, 1}, "when it is ready": {2, 2}} {
		t.Run(name, func(t *testing.T) {
			d, err := db.New()
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			tb, err := d.Table(t.Context(), "things")
			if err != nil {
				t.Fatal(err)
			}
			if err := tb.Create(t.Context(), &db.Record{ID: "a", Metadata: map[string]any{"n": 1}}); err != nil {
				t.Fatal(err)
			}
			calls := 0
			progress := db.OnIndexProgress(func(db.IndexProgress) {
				calls++
				if calls == c.panicAt {
					panic(boom)
				}
			})
			_, err = d.Table(t.Context(), "things", db.Index("n"), progress)
			if bad := c.panicAt <= 2; errors.Is(err, boom) != bad || (err != nil) != bad || bad && !strings.Contains(err.Error(), "OnIndexProgress") || calls != c.calls {
				t.Errorf("%v after %d calls, want %d", err, calls, c.calls)
			}
			tb, err = d.Table(t.Context(), "things", db.Index("n"), progress)
			if err != nil || calls != c.calls {
				t.Fatalf("again: %v after %d calls, want the index to be there", err, calls)
			}
			if p, err := tb.Search(t.Context(), db.Where(db.Equal("n", 1))); err != nil || len(p.Records) != 1 {
				t.Errorf("found %v, %v", p, err)
			}
		})
	}
}
