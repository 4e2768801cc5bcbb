package db

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// front is what is the same on every backend.
type front struct {
	o        *options
	scope    string // of errors: "db/sqlite"
	driver   Driver
	features Features
	life     *life.Life

	mu    sync.Mutex
	specs map[string]TableSpec // opened, by the name that the user gave

	purges bool // since a table of them has records that expire
}

func newFront(opts []Option) (DB, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	f := &front{o: o, scope: "db/" + o.backend.Name, life: life.New(), specs: map[string]TableSpec{}}
	f.driver, err = o.backend.Open(f.scope, nil)
	if err != nil {
		return nil, err
	}
	if _, ok := f.driver.(transactor); !ok && o.changes != nil {
		f.driver.Close()
		return nil, fault.New(ErrUnsupported, f.scope, "new", "", "changes, without transactions")
	}
	f.features = f.driver.Features()
	f.features.Backend = o.backend.Name
	return f, nil
}

func (f *front) wrap(op, subject string, err error) error {
	return fault.Wrap(f.scope, op, subject, err)
}

// inside is the key of the transaction that a context belongs to.
type inside struct{ f *front }

var errInside = invalidf("the database is used inside its own transaction: use the one that Tx gave to the function")

// begun is a call in progress: end must be called, and Late says of its errors
// whether they are our own deadline's.
type begun struct {
	fronts.Limit
	end func()
}

// enter begins a call: its context has a deadline.
func (f *front) enter(ctx context.Context) (context.Context, begun, error) {
	if err := ctx.Err(); err != nil {
		return nil, begun{}, err
	}
	if x, ok := ctx.Value(inside{f}).(*txDB); ok && !x.ended.Load() {
		return nil, begun{}, errInside
	}
	if !f.life.Enter() {
		return nil, begun{}, fault.Closed
	}
	ctx, limit, cancel := fronts.Limited(ctx, f.o.timeout)
	return ctx, begun{limit, func() { cancel(); f.life.Leave() }}, nil
}

// spec checks a table's name and options.
func (f *front) spec(name string, opts []TableOption) (TableSpec, error) {
	if !dbvalue.IsTable(name) {
		return TableSpec{}, invalidf("name, " + dbvalue.TableForm)
	}
	s := TableSpec{Name: name}
	if f.o.namespace != "" {
		s.Name = f.o.namespace + "__" + name
	}
	if err := fronts.Apply(&s, opts); err != nil {
		return s, err
	}
	if s.expires {
		s.Indexes = merge(s.Indexes, [][]Order{{{Key: FieldExpires}}})
	}
	return s, nil
}

func (f *front) Table(ctx context.Context, name string, opts ...TableOption) (Table, error) {
	s, err := f.spec(name, opts)
	if err != nil {
		return nil, f.wrap("table", name, err)
	}
	ctx, call, err := f.enter(ctx)
	if err != nil {
		return nil, f.wrap("table", name, err)
	}
	defer call.end()
	if (s.expires || s.soft) && !f.features.Compare {
		return nil, f.wrap("table", name, unsupportedf("TTL and SoftDelete"))
	}
	if len(s.FullText) > 0 && !f.features.FullText {
		return nil, f.wrap("table", name, unsupportedf("FullText"))
	}
	failed := s.guardProgress()
	err = f.driver.Ensure(ctx, s)
	if err == nil {
		s.othersExpire, err = f.hasExpiry(ctx, s)
	}
	f.mu.Lock()
	whole := s.With(f.specs[name]) // with what was declared before, which the deleted records have as well
	f.mu.Unlock()
	if err == nil && whole.soft {
		err = f.driver.Ensure(ctx, whole.trash())
	}
	if err == nil {
		err = failed()
	}
	if err != nil {
		return nil, f.wrap("table", name, call.Late(ctx, err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s = s.With(f.specs[name]) // an index stays declared
	s.Progress = nil
	f.specs[name] = s
	if (s.expires || s.soft) && !f.purges {
		f.purges = f.life.Go(f.purge)
	}
	return &table{f: f, ops: f.driver, name: name, spec: s}, nil
}

func (f *front) Features() Features { return f.features }

func (f *front) Ping(ctx context.Context) error {
	ctx, call, err := f.enter(ctx)
	if err == nil {
		defer call.end()
		err = call.Late(ctx, f.driver.Ping(ctx))
	}
	return f.wrap("ping", "", err)
}

func (f *front) Close() error {
	return f.wrap("close", "", f.life.Close(f.driver.Close))
}

// again spaces the attempts of what collides with others.
var again = backoff.Policy{Min: time.Millisecond, Max: 100 * time.Millisecond}

// maxRuns is how often Tx runs a function that collides with others.
const maxRuns = 100

func (f *front) Tx(ctx context.Context, fn func(ctx context.Context, tx DB) error, opts ...TxOption) error {
	if fn == nil {
		return f.wrap("tx", "", invalidf("nil function"))
	}
	o, err := newTxOptions(opts)
	if err != nil {
		return f.wrap("tx", "", err)
	}
	t, ok := f.driver.(transactor)
	if !ok {
		return f.wrap("tx", "", fault.Unsupported)
	}
	ctx, call, err := f.enter(ctx)
	if err != nil {
		return f.wrap("tx", "", err)
	}
	defer call.end()
	var collided error
	for run := 0; ; run++ {
		err := f.tx(ctx, call.Limit, t, o.isolation, fn)
		if !errors.Is(err, dbvalue.ErrSerialization) {
			// Time ran out in a run that followed a collision, and was certainly not committed.
			if collided != nil && err != nil && ctx.Err() != nil && fault.KindOf(err) != fault.UnknownOutcome {
				err = fault.Mark(ErrConflict, errors.Join(collided, err))
			}
			return f.wrap("tx", "", err)
		}
		collided = err
		if run == maxRuns {
			return f.wrap("tx", "", fault.Mark(ErrConflict, err))
		}
		if e := backoff.Sleep(ctx, again.Wait(run)); e != nil {
			return f.wrap("tx", "", fault.Mark(ErrConflict, errors.Join(err, e)))
		}
	}
}

// tx is one run. A panic of fn rolls back and goes on.
func (f *front) tx(ctx context.Context, limit fronts.Limit, t transactor, level IsolationLevel, fn func(ctx context.Context, tx DB) error) (err error) {
	tr, err := t.Begin(ctx, level)
	if err != nil {
		return limit.Late(ctx, err)
	}
	committed := false
	defer func() {
		if !committed {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.o.timeout)
			defer cancel()
			if e := tr.Rollback(ctx); e != nil {
				f.o.log.Warn("db: rollback failed", "backend", f.o.backend.Name, "error", e)
			}
		}
	}()
	x := &txDB{f: f, t: tr, limit: limit}
	defer x.ended.Store(true)
	ctx = context.WithValue(ctx, inside{f}, x)
	theirs := fn(ctx, x)
	if x.conflict != nil { // whatever fn made of it
		return x.conflict
	}
	err = theirs
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = x.tell(ctx)
	}
	if c, ok := tr.(collider); ok && err != nil && c.Collided(err) { // of a statement of the user's own, or of an outbox
		return fmt.Errorf("%w: %w", dbvalue.ErrSerialization, err)
	}
	late := func(err error) error { // also a user's function says DeadlineExceeded, of something else
		if ctx.Err() == nil {
			return err
		}
		return limit.Late(ctx, err)
	}
	ended := ctx.Err() != nil && fault.KindOf(theirs) == context.DeadlineExceeded
	if theirs != nil && !ended { // a kv.ErrNotFound of fn's is no ErrNotFound
		return fault.Theirs(f.scope, "tx", "", theirs)
	}
	if err != nil {
		return late(err)
	}
	committed = true // Commit is the end, also when it fails
	return late(tr.Commit(ctx))
}

// collider is an Executor that knows the errors by which its engine says that
// concurrent transactions conflict: what others execute in one returns them as
// they are.
type collider interface{ Collided(err error) bool }

// txDB is the database in a transaction.
type txDB struct {
	f        *front
	t        transaction
	limit    fronts.Limit // of the Tx
	ended    atomic.Bool
	conflict error // dbvalue.ErrSerialization of one of its operations

	changes []Change // for WithChanges
}

func (x *txDB) Table(_ context.Context, name string, opts ...TableOption) (Table, error) {
	if x.ended.Load() {
		return nil, x.f.wrap("table", name, errEnded)
	}
	if _, err := x.f.spec(name, opts); err != nil {
		return nil, x.f.wrap("table", name, err)
	}
	x.f.mu.Lock()
	s, ok := x.f.specs[name]
	x.f.mu.Unlock()
	if !ok {
		return nil, x.f.wrap("table", name, invalidf("was not opened before the transaction"))
	}
	return &table{f: x.f, ops: x.t, tx: x, name: name, spec: s}, nil
}

var errEnded = fault.Markf(ErrClosed, "the transaction has ended")

// Tx calls fn in the transaction that there is, with its isolation.
func (x *txDB) Tx(ctx context.Context, fn func(ctx context.Context, tx DB) error, opts ...TxOption) error {
	_, err := newTxOptions(opts)
	switch {
	case err != nil:
		return x.f.wrap("tx", "", err)
	case fn == nil:
		return x.f.wrap("tx", "", invalidf("nil function"))
	case x.ended.Load():
		return x.f.wrap("tx", "", errEnded)
	}
	return fn(ctx, x)
}

func (x *txDB) Features() Features             { return x.f.features }
func (x *txDB) Ping(ctx context.Context) error { return ctx.Err() }

// Close is the end of Tx's function.
func (x *txDB) Close() error {
	return x.f.wrap("close", "", invalidf("a transaction ends when its function returns"))
}
