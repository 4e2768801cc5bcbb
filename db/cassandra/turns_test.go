package cassandra

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// memoryRow is a row that each write, which takes a second, gives the next version.
type memoryRow struct {
	version atomic.Uint64
	writing atomic.Int32
}

// inTurn writes a row over the version that is wanted.
func inTurn(ctx context.Context, ts *turns, of turnOf, version uint64, stored *memoryRow) (applied bool, looks int, err error) {
	tn := ts.join(&table{rows: of.rows}, of.id)
	defer ts.leave(tn)
	look := func() (*row, error) {
		looks++
		r := &row{}
		r.Version = stored.version.Load()
		if version != 0 && version != r.Version {
			return nil, dbvalue.Conflict(r.Version, version)
		}
		return r, nil
	}
	applied, err = tn.replace(ctx, version, look, func(old *row) (bool, error) {
		defer stored.writing.Add(-1)
		if stored.writing.Add(1) != 1 {
			return false, errors.New("another writes, too")
		}
		<-time.After(time.Second)
		if !stored.version.CompareAndSwap(old.Version, old.Version+1) {
			return false, errors.New("the version is an old one")
		}
		return true, nil
	})
	return applied, looks, err
}

func TestWritersOfARowTakeTurns(t *testing.T) {
	for name, version := range map[string]uint64{"any version": 0, "one version": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ts turns
				var applied, looks atomic.Int64
				stored := &memoryRow{}
				stored.version.Store(1)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						ok, n, err := inTurn(t.Context(), &ts, turnOf{"r", "a"}, version, stored)
						if err != nil {
							t.Error(err)
						}
						looks.Add(int64(n))
						if ok {
							applied.Add(1)
						}
					})
				}
				synctest.Wait()
				for _, free := range []turnOf{{"r", "b"}, {"other", "a"}} {
					other := &memoryRow{}
					other.version.Store(1)
					ok, _, err := inTurn(t.Context(), &ts, free, version, other)
					if !ok || err != nil {
						t.Errorf("%v: %v, %v, and nobody else writes it", free, ok, err)
					}
				}
				wg.Wait()
				want, wantLooks := int64(3), int64(5) // the second and the third look again
				if version != 0 {
					want, wantLooks = 1, 3
				}
				if applied.Load() != want || stored.version.Load() != uint64(1+want) || looks.Load() != wantLooks {
					t.Errorf("%d writes in %d looks, and the version is %d; want %d in %d", applied.Load(), looks.Load(), stored.version.Load(), want, wantLooks)
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
		stored := &memoryRow{}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := inTurn(t.Context(), &ts, turnOf{"r", "a"}, 0, stored)
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, _, err := inTurn(ctx, &ts, turnOf{"r", "a"}, 0, stored)
		if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, fault.Unavailable)
		}
		wg.Wait()
		if stored.version.Load() != 1 || len(ts.ids) != 0 {
			t.Errorf("%d writes, and %d rows have writers", stored.version.Load(), len(ts.ids))
		}
	})
}

func TestWhatATurnCannotDoIsSaid(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		looks   []error
		write   error
		wrote   bool // another, between the looks
		writes  int
		applied bool
		counted int64 // the writes that others have to look for
	}{
		"nothing fails":         {[]error{nil}, nil, false, 1, true, 1},
		"it is refused":         {[]error{nil}, nil, false, 1, false, 0},
		"the look":              {[]error{broken}, nil, false, 0, false, 0},
		"the second look":       {[]error{nil, broken}, nil, true, 0, false, 1},
		"neither look":          {[]error{nil, nil}, nil, true, 1, true, 2},
		"the write":             {[]error{nil}, broken, false, 1, false, 1},
		"a write that is there": {[]error{nil}, broken, false, 1, true, 1},
	} {
		var ts turns
		tn := ts.join(&table{rows: "r"}, "a")
		writes, looks := 0, 0
		applied, err := tn.replace(t.Context(), 0, func() (*row, error) {
			if c.wrote && looks == 0 {
				tn.writes.Add(1)
			}
			looks++
			return &row{}, c.looks[looks-1]
		}, func(*row) (bool, error) {
			writes++
			return c.applied, c.write
		})
		var want error
		if c.write != nil || c.writes == 0 {
			want = broken
		}
		if applied != c.applied || !errors.Is(err, want) || writes != c.writes || looks != len(c.looks) || tn.writes.Load() != c.counted {
			t.Errorf("%s: %v, %v after %d looks and %d writes, of which %d count", name, applied, err, looks, writes, tn.writes.Load())
		}
		ts.leave(tn)
	}
}
