package kvsuites

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kvtools/valkeyrie/store"
	"github.com/kvtools/valkeyrie/testsuite"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/sync"
)

// TestValkeyrie is valkeyrie's suite, as far as the backend has what it asks
// for; the rest has to be refused.
func TestValkeyrie(t *testing.T) {
	onEveryBackend(t, func(t *testing.T, b backend) {
		open := func(t *testing.T) *treeStore {
			s := &treeStore{kv: b.open(t)}
			if b.locks != nil {
				locks, err := sync.New(b.locks)
				if err != nil {
					t.Fatal(err)
				}
				s.locks = locks
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		s := open(t)
		t.Run("atomic", func(t *testing.T) { testsuite.RunTestAtomic(t, s) })
		if s.kv.Features().List {
			t.Run("common", func(t *testing.T) { testsuite.RunTestCommon(t, s) })
		} else {
			t.Run("common", func(t *testing.T) { s.lacks(t, "List", "DeleteTree") })
		}
		if s.kv.Features().Watch {
			t.Run("watch", func(t *testing.T) { testsuite.RunTestWatch(t, s) })
		} else {
			t.Run("watch", func(t *testing.T) { s.lacks(t, "Watch", "WatchTree") })
		}
		if s.locks != nil {
			t.Run("lock", func(t *testing.T) { testsuite.RunTestLock(t, s) })
			t.Run("list beside locks", func(t *testing.T) { testsuite.RunTestListLock(t, s) })
			t.Run("lock with TTL", func(t *testing.T) { testsuite.RunTestLockTTL(t, s, open(t)) })
		} else {
			t.Run("lock", func(t *testing.T) { s.lacks(t, "NewLock") })
		}
		t.Run("TTL", func(t *testing.T) { testsuite.RunTestTTL(t, s, open(t)) })
		if s.kv.Features().List {
			testsuite.RunCleanup(t, s)
			for item, err := range s.kv.List(t.Context(), "") {
				t.Errorf("left behind: %q, %v", item.Key, err)
			}
		}
	})
}

// lacks fails unless the calls are refused.
func (s *treeStore) lacks(t *testing.T, calls ...string) {
	t.Helper()
	_, list := s.List(t.Context(), "k", nil)
	_, watch := s.Watch(t.Context(), "k", nil)
	_, tree := s.WatchTree(t.Context(), "k", nil)
	_, lock := s.NewLock(t.Context(), "k", nil)
	all := map[string]error{
		"List": list, "DeleteTree": s.DeleteTree(t.Context(), "k"), "Watch": watch, "WatchTree": tree, "NewLock": lock,
	}
	for _, call := range calls {
		if !errors.Is(all[call], store.ErrCallNotSupported) {
			t.Errorf("%s: %v, want ErrCallNotSupported", call, all[call])
		}
	}
}

// treeStore is a valkeyrie store.
type treeStore struct {
	kv    kv.KV
	locks sync.Sync // nil: none
}

var _ store.Store = (*treeStore)(nil)

// stamps make two writes of the same bytes differ, as valkeyrie wants: a
// backend without Versions takes them for none.
var stamps atomic.Uint64

func (s *treeStore) seal(value []byte) []byte {
	if s.kv.Features().Versions {
		return value
	}
	return append(binary.BigEndian.AppendUint64(nil, stamps.Add(1)), value...)
}

func (s *treeStore) pair(item kv.Item) *store.KVPair {
	value := item.Value
	if !s.kv.Features().Versions {
		value = value[8:]
	}
	return &store.KVPair{Key: item.Key, Value: value, LastIndex: uint64(item.Revision)}
}

// fault says in valkeyrie's words what a call of kv came to.
func fault(err error) error {
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return store.ErrKeyNotFound
	case errors.Is(err, kv.ErrExists):
		return store.ErrKeyExists
	case errors.Is(err, kv.ErrConflict):
		return store.ErrKeyModified
	case errors.Is(err, kv.ErrUnsupported):
		return store.ErrCallNotSupported
	}
	return err
}

func life(opts *store.WriteOptions) []kv.PutOption {
	if opts == nil || opts.TTL == 0 {
		return nil
	}
	return []kv.PutOption{kv.TTL(opts.TTL)}
}

// Put goes on when ctx ends: the suite's watch tests return, which ends it, while
// a goroutine of theirs still writes and fails a test that is over if it can't.
func (s *treeStore) Put(ctx context.Context, key string, value []byte, opts *store.WriteOptions) error {
	_, err := s.kv.Put(context.WithoutCancel(ctx), key, s.seal(value), life(opts)...)
	return fault(err)
}

func (s *treeStore) Get(ctx context.Context, key string, _ *store.ReadOptions) (*store.KVPair, error) {
	item, err := s.kv.Get(ctx, key)
	if err != nil {
		return nil, fault(err)
	}
	return s.pair(item), nil
}

// Delete goes on when ctx ends, as Put does.
func (s *treeStore) Delete(ctx context.Context, key string) error {
	return fault(s.kv.Delete(context.WithoutCancel(ctx), key))
}

func (s *treeStore) Exists(ctx context.Context, key string, opts *store.ReadOptions) (bool, error) {
	_, err := s.Get(ctx, key, opts)
	if errors.Is(err, store.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *treeStore) AtomicPut(ctx context.Context, key string, value []byte, previous *store.KVPair, opts *store.WriteOptions) (bool, *store.KVPair, error) {
	condition := kv.IfAbsent()
	if previous != nil {
		condition = kv.IfRevision(kv.Revision(previous.LastIndex))
	}
	revision, err := s.kv.Put(ctx, key, s.seal(value), append(life(opts), condition)...)
	if err != nil {
		return false, nil, fault(err)
	}
	return true, &store.KVPair{Key: key, Value: value, LastIndex: uint64(revision)}, nil
}

// AtomicDelete looks what was in its way: kv's one answer is ErrConflict,
// valkeyrie has one for a key that is not there.
func (s *treeStore) AtomicDelete(ctx context.Context, key string, previous *store.KVPair) (bool, error) {
	if previous == nil {
		return false, store.ErrPreviousNotSpecified
	}
	err := s.kv.Delete(ctx, key, kv.IfRevision(kv.Revision(previous.LastIndex)))
	if errors.Is(err, kv.ErrConflict) {
		_, err = s.kv.Get(ctx, key)
		if err == nil {
			err = kv.ErrConflict
		}
	}
	return err == nil, fault(err)
}

// below is the prefix of what is in a directory, which kv does not have.
func below(directory string) string { return strings.TrimSuffix(directory, "/") + "/" }

func (s *treeStore) List(ctx context.Context, directory string, _ *store.ReadOptions) ([]*store.KVPair, error) {
	pairs := []*store.KVPair{}
	for item, err := range s.kv.List(ctx, below(directory)) {
		if err != nil {
			return nil, fault(err)
		}
		pairs = append(pairs, s.pair(item))
	}
	if len(pairs) == 0 { // an empty directory, or none
		_, err := s.kv.Get(ctx, directory)
		if err != nil {
			return nil, fault(err)
		}
	}
	return pairs, nil
}

// DeleteTree deletes key by key: kv has no operation on many keys that is
// atomic.
func (s *treeStore) DeleteTree(ctx context.Context, directory string) error {
	pairs, err := s.List(ctx, directory, nil)
	for _, p := range pairs {
		if err == nil {
			err = s.Delete(ctx, p.Key)
		}
	}
	return err
}

// Watch sends the values of key. A watch of kv is of a prefix.
func (s *treeStore) Watch(ctx context.Context, key string, _ *store.ReadOptions) (<-chan *store.KVPair, error) {
	if !s.kv.Features().Watch {
		return nil, store.ErrCallNotSupported
	}
	pairs := make(chan *store.KVPair)
	go func() {
		defer close(pairs)
		for event, err := range s.kv.Watch(ctx, key) {
			if err != nil || event.Kind != kv.EventPut || event.Item.Key != key {
				continue
			}
			select {
			case pairs <- s.pair(event.Item):
			case <-ctx.Done():
				return
			}
		}
	}()
	return pairs, nil
}

// WatchTree sends what is in a directory, at first and after each change.
func (s *treeStore) WatchTree(ctx context.Context, directory string, _ *store.ReadOptions) (<-chan []*store.KVPair, error) {
	if !s.kv.Features().Watch {
		return nil, store.ErrCallNotSupported
	}
	states := make(chan []*store.KVPair)
	go func() {
		defer close(states)
		known, complete := map[string]*store.KVPair{}, false
		for event, err := range s.kv.Watch(ctx, below(directory)) {
			switch {
			case err != nil:
				continue
			case event.Kind == kv.EventPut:
				known[event.Item.Key] = s.pair(event.Item)
			case event.Kind == kv.EventDelete:
				delete(known, event.Item.Key)
			case event.Kind == kv.EventSynced:
				complete = true
			}
			if !complete {
				continue
			}
			state := make([]*store.KVPair, 0, len(known))
			for _, pair := range known {
				state = append(state, pair)
			}
			select {
			case states <- state:
			case <-ctx.Done():
				return
			}
		}
	}()
	return states, nil
}

func (s *treeStore) NewLock(_ context.Context, key string, opts *store.LockOptions) (store.Locker, error) {
	if s.locks == nil {
		return nil, store.ErrCallNotSupported
	}
	l := &treeLock{s: s, key: key}
	if opts != nil {
		l.LockOptions = *opts
	}
	return l, nil
}

func (s *treeStore) Close() error {
	if s.locks != nil {
		s.locks.Close()
	}
	return s.kv.Close()
}

// treeLock is a lock of sync, whose holder then writes its value at the key:
// locks of sync keep none.
type treeLock struct {
	store.LockOptions
	s    *treeStore
	key  string
	held sync.Lock
}

func (l *treeLock) Lock(ctx context.Context) (<-chan struct{}, error) {
	var opts []sync.LockOption
	if l.TTL > 0 {
		opts = append(opts, sync.TTL(l.TTL))
	}
	held, err := l.s.locks.Lock(ctx, l.key, opts...)
	if err != nil {
		return nil, err
	}
	if err := l.s.Put(held.Context(), l.key, l.Value, nil); err != nil {
		held.Unlock(ctx)
		return nil, err
	}
	l.held = held
	if l.RenewLock != nil {
		go func() { // a lock of sync is renewed until it is released
			select {
			case <-l.RenewLock:
				held.Unlock(context.WithoutCancel(ctx))
			case <-held.Context().Done():
			}
		}()
	}
	return held.Context().Done(), nil
}

func (l *treeLock) Unlock(ctx context.Context) error {
	if l.DeleteOnUnlock {
		if err := l.s.Delete(ctx, l.key); err != nil {
			return err
		}
	}
	return l.held.Unlock(ctx)
}
