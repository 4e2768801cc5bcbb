package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// front is the Store that New returns.
type front struct {
	options
	scope  string // of errors
	driver Driver
	life   *life.Life

	mu      sync.Mutex
	writing map[string]*queue // writers of this process take turns
}

func newFront(opts []Option) (*front, error) {
	s := &front{
		options: options{backend: fronts.Backend[Driver]{Dial: 5 * time.Second}, timeout: 10 * time.Second},
		scope:   "config/store", life: life.New(), writing: map[string]*queue{},
	}
	if err := fronts.New(s.scope, &s.options, opts); err != nil {
		return nil, err
	}
	if !s.backend.Chosen() {
		s.driver = newMemory()
		return s, nil
	}
	if name := s.backend.Name; strings.HasPrefix(name, s.scope) {
		s.scope = name
	} else { // a driver of somebody's own: its errors are this package's too
		s.scope += "/" + name
	}
	var err error
	s.driver, err = s.backend.Open(s.scope, nil)
	return s, err
}

func (s *front) wrap(op, subject string, err error) error {
	return fault.Wrap(s.scope, op, subject, err)
}

// begin is the start of every call; done must be called.
func (s *front) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	if !s.life.Enter() {
		return nil, nil, ErrClosed
	}
	joined, release := s.life.Join(ctx)
	bounded, cancel := fronts.Deadline(joined, s.timeout)
	return bounded, func() { cancel(); release(); s.life.Leave() }, nil
}

// blame replaces the error of a call that the store itself ended: because it was
// closed, or because there was no answer within its timeout.
func (s *front) blame(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() != nil:
	case s.life.Closed() && errors.Is(err, context.Canceled):
		return ErrClosed
	case fault.KindOf(err) == context.DeadlineExceeded:
		if _, callers := ctx.Deadline(); !callers {
			return fault.Markf(ErrUnavailable, "no answer within %v: %w", s.timeout, err)
		}
	}
	return err
}

func checkNamespace(name string) error {
	if len(name) > 200 {
		return fault.Markf(ErrInvalid, "namespace of %d bytes, at most 200", len(name))
	}
	_, err := config.Namespaces(strings.Split(name, "/")...)
	return err
}

func (s *front) Get(ctx context.Context, namespace string) (Document, error) {
	d, err := s.get(ctx, namespace, 0)
	return d, s.wrap("get", namespace, s.blame(ctx, err))
}

func (s *front) At(ctx context.Context, namespace string, number uint64) (Document, error) {
	if number == 0 {
		return Document{}, s.wrap("at", namespace, fault.Markf(ErrInvalid, "versions count from 1"))
	}
	d, err := s.get(ctx, namespace, number)
	return d, s.wrap("at", fmt.Sprintf("%s@%d", namespace, number), s.blame(ctx, err))
}

// get reads one version, the newest for 0. A deletion has no document.
func (s *front) get(ctx context.Context, namespace string, number uint64) (Document, error) {
	r, err := s.record(ctx, namespace, number)
	if err == nil && r.Deleted {
		err = fault.Markf(ErrNotFound, "deleted by version %d", r.Number)
	}
	if err != nil {
		return Document{}, err
	}
	return s.document(r)
}

func (s *front) record(ctx context.Context, namespace string, number uint64) (Record, error) {
	if err := checkNamespace(namespace); err != nil {
		return Record{}, err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return Record{}, err
	}
	defer done()
	if number == 0 {
		return s.driver.Newest(ctx, namespace)
	}
	return s.driver.Read(ctx, namespace, number)
}

func (s *front) document(r Record) (Document, error) {
	snap, err := config.ParseSnapshot(nil, r.Data, s.secrets...)
	if err != nil {
		return Document{}, fmt.Errorf("version %d is damaged: %w", r.Number, err)
	}
	return Document{Version: r.Version, data: r.Data, snapshot: snap}, nil
}

func (s *front) Diff(ctx context.Context, namespace string, from, to uint64) ([]config.Change, error) {
	subject := fmt.Sprintf("%s@%d..%d", namespace, from, to)
	var values [2]config.Value
	for i, n := range []uint64{from, to} {
		var d Document
		r, err := s.record(ctx, namespace, n)
		if err == nil && !r.Deleted {
			d, err = s.document(r)
		}
		if err != nil {
			return nil, s.wrap("diff", subject, s.blame(ctx, err))
		}
		values[i] = d.Get("")
	}
	return config.Diff(values[0], values[1]), nil
}

func (s *front) Namespaces(ctx context.Context) ([]string, error) {
	inner, done, err := s.begin(ctx)
	if err != nil {
		return nil, s.wrap("namespaces", "", err)
	}
	defer done()
	all, err := s.driver.Namespaces(inner)
	if err != nil {
		return nil, s.wrap("namespaces", "", s.blame(ctx, err))
	}
	var there []string
	for _, ns := range all {
		r, err := s.driver.Newest(inner, ns)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return nil, s.wrap("namespaces", "", s.blame(ctx, err))
		}
		if err == nil && !r.Deleted {
			there = append(there, ns)
		}
	}
	slices.Sort(there)
	return there, nil
}

func (s *front) Close() error {
	return s.life.Close(func() error { return s.wrap("close", "", s.driver.Close()) })
}

func (s *front) History(ctx context.Context, q Query) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		fail := func(err error) { yield(Version{}, s.wrap("history", q.Namespace, s.blame(ctx, err))) }
		if q.Limit < 0 {
			fail(fault.Markf(ErrInvalid, "limit %d", q.Limit))
			return
		}
		if q.Namespace != "" {
			if err := checkNamespace(q.Namespace); err != nil {
				fail(err)
				return
			}
		}
		inner, done, err := s.begin(ctx)
		if err != nil {
			fail(err)
			return
		}
		defer done()
		n := 0
		for v, err := range s.history(inner, q) {
			if err != nil {
				fail(err)
				return
			}
			if !q.matches(v) {
				continue
			}
			if !yield(v, nil) {
				return
			}
			n++
			if n == q.Limit {
				return
			}
		}
	}
}

// history yields the versions of the namespaces of q, newest first.
func (s *front) history(ctx context.Context, q Query) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		if q.Namespace != "" && !q.Below {
			for r, err := range s.driver.History(ctx, q.Namespace) {
				if !yield(r.Version, err) || err != nil {
					return
				}
			}
			return
		}
		all, err := s.driver.Namespaces(ctx)
		if err != nil {
			yield(Version{}, err)
			return
		}
		var versions []Version
		for _, ns := range all {
			if q.Namespace != "" && ns != q.Namespace && !strings.HasPrefix(ns, q.Namespace+"/") {
				continue
			}
			for r, err := range s.driver.History(ctx, ns) {
				if err != nil {
					yield(Version{}, err)
					return
				}
				versions = append(versions, r.Version)
			}
		}
		slices.SortStableFunc(versions, func(a, b Version) int {
			if a.Namespace == b.Namespace {
				return cmp.Compare(b.Number, a.Number)
			}
			return b.Time.Compare(a.Time)
		})
		for _, v := range versions {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (q Query) matches(v Version) bool {
	return (q.Author == "" || v.Author == q.Author) &&
		(q.Since.IsZero() || !v.Time.Before(q.Since)) && (q.Until.IsZero() || v.Time.Before(q.Until)) &&
		(q.Path == "" || touches(v.Path, q.Path) || touches(q.Path, v.Path))
}

// touches reports whether path lies at or below of.
func touches(path, of string) bool {
	return of == "" || path == of || strings.HasPrefix(path, of+".")
}
