package sync

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	gosync "sync"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/watch"
)

// leader is one candidate's side of an election, which is a lock in a place of
// its own.
type leader struct {
	f    *front
	id   string
	key  string
	opts lockOptions
	life *life.Life

	mu      gosync.Mutex
	waiting int
	terms   map[*lease]struct{}
}

func (f *front) Leader(id string, opts ...LeaderOption) (Leader, error) {
	o := f.defaults()
	if err := errors.Join(checkName("id", id), fronts.Apply(&o, opts)); err != nil {
		return nil, fault.Wrap(f.scope, "leader", id, err)
	}
	if f.life.Closed() {
		return nil, fault.Wrap(f.scope, "leader", id, ErrClosed)
	}
	return &leader{f: f, id: id, key: f.key(KindLeader, id), opts: o, life: life.New(), terms: map[*lease]struct{}{}}, nil
}

func (l *leader) Elect(ctx context.Context) (Elected, error) {
	if !l.life.Enter() {
		return nil, fault.Wrap(l.f.scope, "elect", l.id, ErrClosed)
	}
	defer l.life.Leave()
	joined, release := l.life.Join(ctx)
	defer release()
	l.count(1)
	defer l.count(-1)
	t, err := l.f.acquire(joined, "elect", KindLeader, l.id, 1, true, l.opts)
	if err != nil {
		if l.life.Closed() && ctx.Err() == nil {
			err = fault.Wrap(l.f.scope, "elect", l.id, ErrClosed)
		}
		return nil, err
	}
	l.mu.Lock()
	l.terms[t] = struct{}{}
	l.mu.Unlock()
	context.AfterFunc(&t.ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.terms, t)
	})
	return term{t}, nil
}

func (l *leader) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting += n
}

func (l *leader) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.terms {
		if t.ctx.Context.Err() == nil && !t.over() {
			return StatusElected
		}
	}
	if l.waiting > 0 {
		return StatusCandidate
	}
	return StatusFollower
}

func (l *leader) Leader(ctx context.Context) (Candidate, error) {
	c, err := l.holder(ctx)
	return c, fault.Wrap(l.f.scope, "leader", l.id, err)
}

func (l *leader) holder(ctx context.Context) (Candidate, error) {
	if !l.life.Enter() {
		return Candidate{}, ErrClosed
	}
	defer l.life.Leave()
	if !l.f.life.Enter() {
		return Candidate{}, ErrClosed
	}
	defer l.f.life.Leave()
	limited, cancel := context.WithTimeout(ctx, l.f.timeout)
	defer cancel()
	c, err := l.f.driver.Holder(limited, l.key)
	return c, fault.Late(ctx, l.f.timeout, err)
}

func (l *leader) Watch(ctx context.Context) iter.Seq2[Candidate, error] {
	return func(yield func(Candidate, error) bool) {
		c1, release1 := l.life.Join(ctx)
		defer release1()
		c2, release2 := l.f.life.Join(c1)
		defer release2()
		joined, stop := context.WithCancel(c2)
		defer stop()

		var (
			last    Candidate
			started bool // last was yielded
			failing bool // an error was yielded since
			stopped bool // by the caller
			thrown  any  // what the caller's loop panicked with
		)
		// Follow would take a panic of the loop for a session that failed.
		give := func(c Candidate, err error) {
			if stopped {
				return
			}
			stopped = true
			defer func() {
				thrown = recover()
				if stopped {
					stop()
				}
			}()
			stopped = !yield(c, err)
		}
		o := watch.Options{OnError: func(err error) {
			if !failing {
				failing = true
				give(Candidate{}, fault.Wrap(l.f.scope, "watch", l.id, err))
			}
		}}
		watch.Follow(joined, o, func(ctx context.Context, _ int, progress func(int)) error {
			return l.f.driver.Watch(ctx, l.key, func(c Candidate) {
				progress(0)
				if !started || failing || c != last {
					started, failing, last = true, false, c
					give(c, nil)
				}
			})
		})
		if thrown != nil {
			panic(thrown)
		}
		if !stopped && ctx.Err() == nil {
			yield(Candidate{}, fault.Wrap(l.f.scope, "watch", l.id, ErrClosed))
		}
	}
}

func (l *leader) Close() error {
	return l.life.Close(func() error {
		l.mu.Lock()
		terms := slices.Collect(maps.Keys(l.terms))
		l.mu.Unlock()
		var errs []error
		for _, t := range terms {
			ctx, cancel := context.WithTimeout(context.Background(), l.f.timeout)
			if err := t.end(ctx, "resign", ErrClosed); err != nil && !errors.Is(err, fault.Lost) {
				errs = append(errs, err)
			}
			cancel()
		}
		return errors.Join(errs...)
	})
}

// term is a lease as Elected.
type term struct{ l *lease }

func (t term) Token() uint64                    { return t.l.Token() }
func (t term) Context() context.Context         { return t.l.Context() }
func (t term) Resign(ctx context.Context) error { return t.l.end(ctx, "resign", context.Canceled) }
