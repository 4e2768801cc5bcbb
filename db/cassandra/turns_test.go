package cassandra

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// inTurn writes a row in memory that has stamp 0, over the version that is wanted.
func inTurn(ctx context.Context, ts *turns, rows, id string, version uint64, stored *row, writing *int) (applied bool, looks int, err error) {
	tn := ts.join(&table{rows: rows}, id)
	defer ts.leave(tn)
	look := func() (*row, error) {
		looks++
		if version != 0 && version != stored.Version {
			return nil, conflict(stored.Version, version)
		}
		r := *stored
		return &r, nil
	}
	applied, err = tn.replace(ctx, version, look, func(old *row) (bool, error) {
		*writing++
		defer func() { *writing-- }()
		<-time.After(time.Second)
		if *writing != 1 || old.Version != stored.Version {
			return false, errors.New("another writes, too")
		}
		stored.Version++
		return true, nil
	})
	return applied, looks, err
}

func TestWritersOfARowTakeTurns(t *testing.T) {
	for name, version := range map[string]uint64{"any version": 0, "one version": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ts turns
				var writing, applied, looks int
				var mu sync.Mutex
				stored := &row{}
				stored.Version = 1
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						ok, n, err := inTurn(t.Context(), &ts, "r", "a", version, stored, &writing)
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						defer mu.Unlock()
						looks += n
						if ok {
							applied++
						}
					})
				}
				synctest.Wait()
				for _, free := range []turnOf{{"r", "b"}, {"other", "a"}} {
					other, wrote := &row{}, 0
					other.Version = 1
					ok, _, err := inTurn(t.Context(), &ts, free.rows, free.id, version, other, &wrote)
					if !ok || err != nil {
						t.Errorf("%v: %v, %v, and nobody else writes it", free, ok, err)
					}
				}
				wg.Wait()
				want, wantLooks := 3, 5 // the second and the third look again
				if version != 0 {
					want, wantLooks = 1, 3
				}
				if applied != want || stored.Version != uint64(1+want) || looks != wantLooks {
					t.Errorf("%d writes in %d looks, and the version is %d; want %d in %d", applied, looks, stored.Version, want, wantLooks)
				}
				if len(ts.ids) != 0 {
					t.Errorf("%d rows have writers", len(ts.ids))
				}
			})
		})
	}
}

func TestWhoWaitsForATurnMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turns
		writing, stored := 0, &row{}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := inTurn(t.Context(), &ts, "r", "a", 0, stored, &writing)
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, _, err := inTurn(ctx, &ts, "r", "a", 0, stored, &writing)
		if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, fault.Unavailable)
		}
		wg.Wait()
		if stored.Version != 1 || len(ts.ids) != 0 {
			t.Errorf("%d writes, and %d rows have writers", stored.Version, len(ts.ids))
		}
	})
}
