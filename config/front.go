package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// front is the Config that New returns.
type front struct {
	options
	life    *life.Life
	types   types
	refs    *references // nil without resolvers
	current atomic.Pointer[Snapshot]
	dirty   chan struct{} // holds one token while a source has news

	reloads chan chan error // asks loop to apply now

	mu          sync.Mutex // guards what follows, and that none joins while snapshots are swapped
	subscribers []*subscription
	watchers    map[chan struct{}]bool

	stateMu         sync.Mutex
	rejected        error
	since           time.Time
	restored        time.Time
	unsaved         error
	misreads        map[string]error
	unfollowed      error // who panicked when notified of the running snapshot
	unfollowedSince time.Time
	late            map[*guest]error // calls that took too long and have not returned

	telling     sync.Mutex // one call of onHealth at a time
	healthGuest guest
	toldHealth  Health
}

func newFront(opts []Option) (*front, error) {
	c := &front{
		options: options{
			timeout: 5 * time.Second, prepare: 5 * time.Second, debounce: 50 * time.Millisecond,
			logger: slog.New(slog.DiscardHandler), secrets: &secrets{},
		},
		life: life.New(), dirty: make(chan struct{}, 1), reloads: make(chan chan error), watchers: map[chan struct{}]bool{},
		misreads: map[string]error{}, late: map[*guest]error{}, healthGuest: guest{name: "the function of WithOnHealth"},
	}
	bad := func(err error) (*front, error) {
		return nil, fault.Wrap("config", "new", "", fault.Mark(ErrInvalid, err))
	}
	if err := fronts.Apply(&c.options, opts); err != nil {
		return bad(err)
	}
	seen := map[string]bool{}
	for _, l := range c.sources {
		if seen[l.src.Name()] {
			return bad(fmt.Errorf("source %q is given twice", l.src.Name()))
		}
		seen[l.src.Name()] = true
		l.timeout = c.timeout
	}
	if len(c.schemes) > 0 {
		c.refs = &references{schemes: c.schemes, timeout: c.timeout, known: map[string]*reference{}}
	}
	if err := c.start(); err != nil {
		c.life.Close(nil)
		if fault.KindOf(err) == fault.Unavailable {
			return nil, fault.Unanswered("config", err)
		}
		return nil, fault.Wrap("config", "new", "", err)
	}
	return c, nil
}

// start opens and reads the sources, makes the first snapshot and begins to
// follow. On failure it leaves nothing open.
func (c *front) start() (err error) {
	opened := 0
	defer func() {
		if err != nil {
			closeSources(c.sources[:opened])
		}
	}()
	for _, l := range c.sources {
		if o, ok := l.src.(Opener); ok {
			if err := o.Open(c.life.Context()); err != nil {
				if fault.KindOf(err) == nil {
					err = fault.Mark(ErrInvalid, err)
				}
				return sourceError(l, err)
			}
		}
		opened++
	}
	c.readAll()
	if err := c.first(); err != nil {
		return err
	}
	for _, l := range c.sources {
		_, watches := l.src.(Watcher)
		if l.poll > 0 && watches { // asked for explicitly, on top
			c.life.Go(func(ctx context.Context) { l.pollEvery(ctx, c.heard) })
		}
		if l.poll == 0 {
			l.poll = pollEvery
		}
		c.life.Go(func(ctx context.Context) { l.follow(ctx, c.heard) })
	}
	for _, s := range c.schemes {
		c.life.Go(func(ctx context.Context) { c.rotate(ctx, s) })
	}
	c.life.Go(c.loop)
	return nil
}

// readAll reads the sources at once. It waits for all of them, but for optional
// ones hardly longer than for the others.
func (c *front) readAll() {
	var must, may sync.WaitGroup
	ctx, cancel := context.WithCancel(c.life.Context())
	defer cancel()
	const grace = 500 * time.Millisecond
	for _, l := range c.sources {
		wg := &must
		if l.optional {
			wg = &may
		}
		wg.Go(func() {
			if _, err := l.read(ctx); err != nil && errors.Is(err, context.Canceled) {
				l.take(Content{}, fault.Markf(ErrUnavailable, "no answer yet"), nil)
			}
		})
	}
	must.Wait()
	late := make(chan struct{})
	go func() { may.Wait(); close(late) }()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-late:
	case <-t.C:
		cancel()
		<-late
	}
}

func sourceError(l *layer, err error) error {
	return fmt.Errorf("source %s: %w", l.src.Name(), err)
}

// sourceErrors joins why sources can't be read.
func (c *front) sourceErrors() error {
	var errs []error
	for _, l := range c.sources {
		if err := l.problem(); err != nil {
			errs = append(errs, sourceError(l, err))
		}
	}
	return errors.Join(errs...)
}

// fatal joins why the program can't start: sources without content, not even
// last-known-good content. An optional source may be absent or unreachable, but
// what it holds and can't be read is somebody's mistake, not an absence.
func (c *front) fatal() error {
	var errs []error
	for _, l := range c.sources {
		err := l.problem()
		if err == nil || !l.restored.IsZero() {
			continue
		}
		if !l.optional || errors.Is(err, fault.Invalid) || errors.Is(err, fault.TooLarge) {
			errs = append(errs, sourceError(l, err))
		}
	}
	return errors.Join(errs...)
}

// heard is called after each read of a source.
func (c *front) heard(changed bool) {
	if changed {
		select {
		case c.dirty <- struct{}{}:
		default:
		}
	}
	c.tell()
}

// loop applies changes: those that come close together at once, and at once
// what Reload asks for. It owns everything that apply and save work on.
func (c *front) loop(ctx context.Context) {
	save := time.NewTicker(c.saveEvery())
	defer save.Stop()
	var due <-chan time.Time // when what is dirty is applied; nil: nothing is
	for {
		select {
		case <-ctx.Done():
			return
		case <-save.C:
			c.save()
		case <-c.dirty:
			if due == nil {
				due = time.After(c.debounce)
			}
		case <-due:
			due = nil
			_ = c.apply(ctx) // Health has the error
		case answer := <-c.reloads:
			due = nil
			answer <- c.apply(ctx)
		}
	}
}

func (c *front) Get(path string) Value { return c.current.Load().Get(path) }

func (c *front) Snapshot() *Snapshot { return c.current.Load() }

func (c *front) Reload(ctx context.Context) error {
	if ctx.Value(changing{}) == c {
		return fault.New(ErrInvalid, "config", "reload", "", "called while a change is being made, which it would wait for")
	}
	if !c.life.Enter() {
		return fault.Wrap("config", "reload", "", ErrClosed)
	}
	defer c.life.Leave()
	ctx, release := c.life.Join(ctx)
	defer release()
	var wg sync.WaitGroup
	for _, l := range c.sources {
		wg.Go(func() { l.read(ctx) })
	}
	if c.refs != nil {
		wg.Go(func() { c.refs.refresh(ctx, nil) })
	}
	wg.Wait()
	unread := c.sourceErrors() // of these reads: while the change is made a source may come back
	err := c.applyNow(ctx)
	if ctx.Err() != nil && c.life.Closed() {
		err = ErrClosed
	} else if ctx.Err() == nil {
		err = errors.Join(unread, err)
	}
	return fault.Wrap("config", "reload", "", err)
}

// applyNow makes loop apply what the sources said and waits for its answer.
// What nobody waits for any more is applied all the same.
func (c *front) applyNow(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case c.reloads <- answer:
	case <-ctx.Done():
		c.heard(true)
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *front) Close() error {
	return c.life.Close(func() error {
		return fault.Wrap("config", "close", "", closeSources(c.sources))
	})
}

func closeSources(layers []*layer) error {
	var errs []error
	for _, l := range layers {
		if cl, ok := l.src.(Closer); ok {
			if err := cl.Close(); err != nil {
				errs = append(errs, sourceError(l, err))
			}
		}
	}
	return errors.Join(errs...)
}

// addSecret is how a binding marks a field as secret.
func (c *front) addSecret(path string) { c.secrets.add(path) }
