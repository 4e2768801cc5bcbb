package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// lossy is a driver that loses the reply of its next Append.
type lossy struct {
	Driver
	applied bool // whether the write was applied
	deaf    bool // whether the look-up fails too
	lose    bool
}

func (l *lossy) Append(ctx context.Context, r Record) error {
	if !l.lose {
		return l.Driver.Append(ctx, r)
	}
	if l.applied {
		if err := l.Driver.Append(ctx, r); err != nil {
			return err
		}
	}
	return ErrUnknownOutcome
}

func (l *lossy) Read(ctx context.Context, ns string, n uint64) (Record, error) {
	if l.deaf {
		return Record{}, ErrUnavailable
	}
	return l.Driver.Read(ctx, ns, n)
}

func TestWriteWhoseReplyIsLostIsLookedUp(t *testing.T) {
	for _, c := range []struct {
		name string
		d    lossy
		want error
		then uint64 // newest version afterwards
	}{
		{"applied", lossy{applied: true}, nil, 2},
		{"applied, and nobody answers", lossy{applied: true, deaf: true}, ErrUnknownOutcome, 2},
		{"not applied, perhaps still on its way", lossy{}, ErrUnknownOutcome, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.d
			d.Driver = newMemory()
			s, err := New(WithDriver("lossy", func(context.Context) (Driver, error) { return &d, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Set(t.Context(), "app", "n", 1); err != nil {
				t.Fatal(err)
			}
			d.lose = true
			v, err := s.Set(t.Context(), "app", "n", 2)
			if !errors.Is(err, c.want) || err == nil && v.Number != 2 {
				t.Errorf("got %v, %v, want %v", v, err, c.want)
			}
			if r, err := d.Driver.Newest(t.Context(), "app"); err != nil || r.Number != c.then {
				t.Errorf("newest is %d, %v, want %d", r.Number, err, c.then)
			}
		})
	}
}

// beaten is a driver on which another writer is faster each time.
type beaten struct{ Driver }

func (beaten) Append(context.Context, Record) error { return ErrConflict }

func TestWriterThatAlwaysLosesGivesUpAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(WithDriver("beaten", func(context.Context) (Driver, error) { return beaten{newMemory()}, nil }), WithTimeout(100*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Set(t.Context(), "app", "n", 1)
		if !errors.Is(err, ErrConflict) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrConflict at the deadline", err)
		}
	})
}

func TestWriterThatWaitsForItsTurnEndsWithItsContext(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entered, leave := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Update(context.Background(), "app", func(doc []byte) ([]byte, error) {
			close(entered)
			<-leave
			return doc, nil
		})
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Set(ctx, "app", "n", 1); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable at the deadline", err)
	}
	close(leave)
	<-done
}

func TestMemoryTakesNoVersionButTheNext(t *testing.T) {
	m := newMemory()
	for _, c := range []struct {
		number uint64
		want   error
	}{{2, ErrConflict}, {1, nil}, {1, ErrConflict}, {3, ErrConflict}, {2, nil}} {
		if err := m.Append(t.Context(), Record{Version: Version{Namespace: "app", Number: c.number}}); !errors.Is(err, c.want) {
			t.Errorf("Append of %d: got %v, want %v", c.number, err, c.want)
		}
	}
}

// silent is a driver whose backend gives no answer.
type silent struct{ Driver }

func (silent) Newest(ctx context.Context, _ string) (Record, error) {
	<-ctx.Done()
	return Record{}, ctx.Err()
}

// The store's own timeout says that the backend is unavailable; the caller's
// deadline is the caller's.
func TestABackendWithoutAnAnswerIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(WithDriver("silent", func(context.Context) (Driver, error) { return silent{newMemory()}, nil }), WithTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for name, f := range map[string]func(ctx context.Context) error{
			"Get": func(ctx context.Context) error { _, err := s.Get(ctx, "a"); return err },
			"Put": func(ctx context.Context) error { _, err := s.Put(ctx, "a", []byte(`{}`)); return err },
		} {
			if err := f(context.Background()); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if err := f(ctx); errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s with a deadline: %v, want the context's error alone", name, err)
			}
			cancel()
		}
	})
}
