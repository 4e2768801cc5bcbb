package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// change makes the next record's content of the newest record; old.Number is 0
// if there is none. It may fill in what only it knows.
type change func(ctx context.Context, old Record, next *Record) error

var errNothing = errors.New("nothing to write")

func (s *front) Put(ctx context.Context, namespace string, document any, opts ...WriteOption) (Version, error) {
	data, ok := document.([]byte)
	if !ok {
		var err error
		data, err = json.Marshal(document)
		if err != nil {
			return Version{}, s.wrap("put", namespace, fault.Mark(ErrInvalid, err))
		}
	}
	return s.write(ctx, Version{Namespace: namespace, Action: ActionPut}, opts, func(_ context.Context, _ Record, next *Record) error {
		next.Data = data
		return nil
	})
}

func (s *front) Set(ctx context.Context, namespace, path string, value any, opts ...WriteOption) (Version, error) {
	return s.write(ctx, Version{Namespace: namespace, Action: ActionSet, Path: path}, opts, func(_ context.Context, old Record, next *Record) (err error) {
		next.Data, err = config.SetPath(content(old), path, value)
		return err
	})
}

func (s *front) Unset(ctx context.Context, namespace, path string, opts ...WriteOption) (Version, error) {
	return s.write(ctx, Version{Namespace: namespace, Action: ActionUnset, Path: path}, opts, func(_ context.Context, old Record, next *Record) (err error) {
		next.Data, err = config.DeletePath(content(old), path)
		if err == nil && string(next.Data) == string(content(old)) {
			err = errNothing
		}
		return err
	})
}

func (s *front) Patch(ctx context.Context, namespace string, patch []byte, opts ...WriteOption) (Version, error) {
	return s.write(ctx, Version{Namespace: namespace, Action: ActionPatch}, opts, func(_ context.Context, old Record, next *Record) (err error) {
		next.Data, err = config.MergePatch(content(old), patch)
		return err
	})
}

func (s *front) Update(ctx context.Context, namespace string, change func([]byte) ([]byte, error), opts ...WriteOption) (Version, error) {
	if change == nil {
		return Version{}, s.wrap("update", namespace, fault.Markf(ErrInvalid, "nil function"))
	}
	return s.write(ctx, Version{Namespace: namespace, Action: ActionUpdate}, opts, func(_ context.Context, old Record, next *Record) (err error) {
		next.Data, err = change(slices.Clone(content(old)))
		return fault.Theirs(s.scope, string(ActionUpdate), namespace, err)
	})
}

func (s *front) Delete(ctx context.Context, namespace string, opts ...WriteOption) (Version, error) {
	return s.write(ctx, Version{Namespace: namespace, Action: ActionDelete}, opts, func(ctx context.Context, old Record, next *Record) error {
		if old.Number == 0 || old.Deleted {
			return fault.Markf(ErrNotFound, "no such document")
		}
		next.Deleted = true
		return nil
	})
}

func (s *front) Rollback(ctx context.Context, namespace string, to uint64, opts ...WriteOption) (Version, error) {
	if to == 0 {
		return Version{}, s.wrap("rollback", namespace, fault.Markf(ErrInvalid, "versions count from 1"))
	}
	return s.write(ctx, Version{Namespace: namespace, Action: ActionRollback, Of: to}, opts, func(ctx context.Context, old Record, next *Record) error {
		r, err := s.driver.Read(ctx, namespace, to)
		if err != nil {
			return fmt.Errorf("version %d: %w", to, err)
		}
		next.Data, next.Deleted = r.Data, r.Deleted
		return nil
	})
}

// content is the document to build on.
func content(old Record) []byte {
	if old.Data == nil {
		return []byte("{}")
	}
	return old.Data
}

// write adds a version: read the newest, change it, append, and from the start
// if another writer was faster.
func (s *front) write(ctx context.Context, v Version, opts []WriteOption, f change) (Version, error) {
	made, err := s.tryWrite(ctx, v, opts, f)
	return made, s.wrap(string(v.Action), v.Namespace, s.blame(ctx, err))
}

func (s *front) tryWrite(ctx context.Context, v Version, opts []WriteOption, f change) (Version, error) {
	var w write
	if err := fronts.Apply(&w, opts); err != nil {
		return Version{}, fault.Mark(ErrInvalid, err)
	}
	if s.author && w.author == "" {
		return Version{}, fault.Markf(ErrInvalid, "a write needs an Author here")
	}
	if err := checkNamespace(v.Namespace); err != nil {
		return Version{}, err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return Version{}, err
	}
	defer done()
	leave, err := s.turn(ctx, v.Namespace)
	if err != nil {
		return Version{}, err
	}
	defer leave()
	v.Author, v.Comment = w.author, w.comment
	for try := 0; ; try++ {
		old, err := s.driver.Newest(ctx, v.Namespace)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return Version{}, readError(err)
		}
		if w.conditional && old.Number != w.version {
			return Version{}, fault.Markf(ErrConflict, "the newest version is %d, not %d", old.Number, w.version)
		}
		next := Record{Version: v}
		if err := f(ctx, old, &next); errors.Is(err, errNothing) {
			return old.Version, nil
		} else if err != nil {
			return Version{}, err
		}
		if err := s.finish(ctx, &next, old.Number+1); err != nil {
			return Version{}, err
		}
		err = s.append(ctx, next)
		if err == nil || !errors.Is(err, fault.Conflict) {
			return next.Version, err
		}
		if w.conditional {
			return Version{}, fault.Markf(ErrConflict, "another write made version %d", next.Number)
		}
		if err := backoff.Sleep(ctx, backoff.Policy{Min: time.Millisecond, Max: 100 * time.Millisecond}.Wait(min(try, 6))); err != nil {
			return Version{}, fault.Mark(ErrConflict, fmt.Errorf("other writers were faster %d times: %w", try+1, err))
		}
	}
}

// readError is the error of a write whose read failed: nothing was written.
func readError(err error) error {
	if fault.KindOf(err) == nil {
		return fault.Mark(ErrUnavailable, err)
	}
	return err
}

// finish checks the content and fills in the rest of a record.
func (s *front) finish(ctx context.Context, r *Record, number uint64) error {
	r.Number, r.Time, r.ID = number, time.Now().UTC().Truncate(time.Microsecond), rand.Text()
	if r.Deleted {
		return nil
	}
	snap, err := config.ParseSnapshot(nil, r.Data, s.secrets...)
	if err != nil {
		return err
	}
	if k := snap.Get("").Kind(); k != config.Object {
		return fault.Markf(ErrInvalid, "the document is of type %s, want object", k)
	}
	r.Data = snap.Bytes() // canonical
	if len(r.Data) > config.MaxSize {
		return fault.Markf(ErrTooLarge, "more than %d bytes", config.MaxSize)
	}
	sum := sha256.Sum256(r.Data)
	r.Checksum = hex.EncodeToString(sum[:])
	for _, validate := range s.validate {
		if err := validate(ctx, r.Namespace, snap); err != nil {
			return fault.Mark(ErrDenied, err)
		}
	}
	return nil
}

// append is the driver's Append. If that doesn't know whether it worked, the
// record's id tells.
func (s *front) append(ctx context.Context, r Record) error {
	err := s.driver.Append(ctx, r)
	if err == nil || errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Invalid) || errors.Is(err, fault.TooLarge) {
		return err
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	switch there, readErr := s.driver.Read(look, r.Namespace, r.Number); {
	case readErr == nil && there.ID == r.ID:
		return nil
	case readErr == nil:
		return fault.Markf(ErrConflict, "version %d is another's", r.Number)
	case errors.Is(err, fault.Conflict):
		return err
	}
	return fault.Mark(ErrUnknownOutcome, err) // not there yet, or no answer
}

// queue is where the writers of one namespace in this process take turns: a
// lost race over the network costs more than waiting here.
type queue struct {
	turn    chan struct{}
	waiting int
}

func (s *front) turn(ctx context.Context, namespace string) (leave func(), err error) {
	s.mu.Lock()
	q := s.writing[namespace]
	if q == nil {
		q = &queue{turn: make(chan struct{}, 1)}
		s.writing[namespace] = q
	}
	q.waiting++
	s.mu.Unlock()
	drop := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		q.waiting--
		if q.waiting == 0 {
			delete(s.writing, namespace)
		}
	}
	select {
	case q.turn <- struct{}{}:
		return func() { <-q.turn; drop() }, nil
	case <-ctx.Done():
		drop()
		return nil, fault.Mark(ErrUnavailable, ctx.Err()) // not written
	}
}
